"""Engine `openai` against servers that fail in the ways that servers do, and against a real `vllm serve`."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rap_plugin.config import ModelConfig
from rap_plugin.demo import MODEL_DIR
from rap_plugin.engines.base import Engine
from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt, Request, Sampling

pytest.importorskip("openai")

from rap_plugin.engines.openai import chat_messages, open_openai

from .chat_server import Server, answer, refusal

SAMPLING = Sampling(max_prompt_tokens=100, max_new_tokens=8, seed=5)


@pytest.fixture
def serve():
    servers = []

    def start(*args):
        servers.append(Server(*args))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def request(text="how many?", images=(), rollouts=(0, 1, 2), sample="s1"):
    return Request(Prompt(sample, "image", text, tuple(images)), tuple(rollouts))


def test_a_server_answers_every_rollout_with_its_own_seed(serve):
    server = serve(lambda body, times: answer(str(body["seed"])))
    engine = server.open()
    rows = engine.generate([request(), request(sample="s2", rollouts=(4,))], SAMPLING)
    assert [[response.rollout for response in row] for row in rows] == [[0, 1, 2], [4]]
    assert len({response.text for row in rows for response in row}) == 4
    assert all(response.status == "ok" and response.prompt_tokens == 12 for row in rows for response in row)
    alone = engine.generate([request(rollouts=(2,))], SAMPLING)
    assert alone[0][0].text == rows[0][2].text
    assert isinstance(engine, Engine)


def test_options_of_the_chat_template_travel_with_the_request(serve):
    server = serve()
    plain = request(rollouts=(0,))
    prompt = replace(plain.prompt, template_options={"enable_thinking": False})
    server.open().generate([plain, replace(plain, prompt=prompt)], Sampling())
    # Both are under way at once, in any order.
    sent = [body.get("chat_template_kwargs") for body in server.bodies]
    assert len(sent) == 2
    assert None in sent
    assert {"enable_thinking": False} in sent


def test_the_identity_stays_while_the_model_does(serve):
    first, second = serve(), serve()
    second.models[0]["created"] = 99  # vLLM says when it was asked, not when the model was made
    assert first.open().identity == second.open().identity
    second.models[0]["root"] = "other/weights"
    assert first.open().identity != second.open().identity
    assert first.open().identity.name == "m"


def test_images_travel_as_png_in_their_places():
    image = Image.effect_noise((9, 7), 60).convert("RGB")
    system, user = chat_messages(Prompt("s", "image", "a <image> b", (image,), system="be brief"))
    assert system == {"role": "system", "content": "be brief"}
    kinds = [part["type"] for part in user["content"]]
    assert kinds == ["text", "image_url", "text"]
    head, _, data = user["content"][1]["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == image.tobytes()


def test_a_busy_server_is_asked_again(serve):
    server = serve(lambda body, times: refusal(429 if times == 0 else 503, "busy") if times < 2 else answer())
    rows = server.open().generate([request()], SAMPLING)
    assert [response.status for response in rows[0]] == ["ok"] * 3
    assert set(server.asked.values()) == {3}


def test_a_request_that_keeps_failing_fails_alone(serve):
    def reply(body, times):
        return refusal(500, "broken") if "bad" in json.dumps(body["messages"]) else answer()

    server = serve(reply)
    good, bad = server.open(retries=1).generate([request("good"), request("bad", sample="s2")], SAMPLING)
    assert [response.status for response in good] == ["ok"] * 3
    assert [(response.status, response.error) for response in bad] == [("engine_error", "broken")] * 3


def test_an_overlong_prompt_is_asked_once_and_counted(serve):
    server = serve(lambda body, times: refusal(400, "This model's maximum context length is 64 tokens."))
    rows = server.open().generate([request()], SAMPLING)
    assert [response.status for response in rows[0]] == ["overlong"] * 3
    assert len(server.bodies) == 1


def test_a_prompt_beyond_max_prompt_tokens_is_overlong_although_the_server_takes_it(serve):
    server = serve(lambda body, times: answer(prompt_tokens=101))
    rows = server.open().generate([request()], SAMPLING)
    assert [(response.status, response.text, response.prompt_tokens) for response in rows[0]] == [
        ("overlong", "", 101)
    ] * 3


def test_a_wrong_number_of_images_is_an_error_of_that_request(serve):
    server = serve()
    bad, good = server.open().generate([request("<image> and <image>"), request(sample="s2")], SAMPLING)
    assert {response.status for response in bad} == {"engine_error"}
    assert {response.status for response in good} == {"ok"}


def test_a_nonsense_answer_is_an_error_of_that_request(serve):
    for nonsense in ({"choices": []}, {"hello": 1}, {"choices": [{"message": None, "finish_reason": "stop"}]}):
        rows = serve(lambda body, times, nonsense=nonsense: (200, nonsense)).open().generate([request()], SAMPLING)
        assert {response.status for response in rows[0]} == {"engine_error"}


def test_an_empty_or_filtered_answer_is_an_error_and_not_a_wrong_answer(serve):
    refused = answer(None)
    refused[1]["choices"][0]["message"]["refusal"] = "I cannot help with that."
    for problem in (answer(""), answer(None), answer(" \n"), answer("", finish="length"), answer([]), refused):
        rows = serve(lambda body, times, problem=problem: problem).open().generate([request()], SAMPLING)
        assert {response.status for response in rows[0]} == {"engine_error"}
    for finish in ("content_filter", "error", "tool_calls"):
        rows = serve(lambda body, times, finish=finish: answer("4", finish)).open().generate([request()], SAMPLING)
        assert [response.error for response in rows[0]] == [f"the server ended it with {finish}"] * 3


def test_a_model_that_ended_at_once_has_answered_where_the_server_shows_its_token(serve):
    ended = answer("")
    ended[1]["choices"][0]["token_ids"] = [2]
    rows = serve(lambda body, times: ended).open().generate([request()], SAMPLING)
    assert {(response.status, response.text, response.token_ids) for response in rows[0]} == {("ok", "", (2,))}


def test_thinking_that_a_server_splits_off_is_there_where_nothing_else_came(serve):
    cut = answer(None, finish="length")
    cut[1]["choices"][0]["message"]["reasoning_content"] = "First I look"
    rows = serve(lambda body, times: cut).open().generate([request()], SAMPLING)
    assert {(response.text, response.finish) for response in rows[0]} == {("<think>First I look", "length")}


@pytest.mark.parametrize(
    ("finish", "tokens", "expected"),
    [
        ("length", 3, "length"),
        ("max_tokens", 3, "length"),
        (None, 8, "length"),
        (None, 3, "stop"),
        ("eos_token", 8, "stop"),
    ],
)
def test_whether_an_answer_was_cut_is_known_however_the_server_says_it(serve, finish, tokens, expected):
    reply = answer("12", finish)
    reply[1]["usage"]["completion_tokens"] = tokens
    rows = serve(lambda body, times: reply).open().generate([request()], SAMPLING)
    assert {(response.status, response.finish) for response in rows[0]} == {("ok", expected)}


def test_images_are_sent_within_the_configured_pixels(serve):
    server = serve()
    config = ModelConfig(engine="openai", max_pixels=1000, min_pixels=100, options={"base_url": server.url})
    images = (Image.new("RGB", (400, 100)), Image.new("RGB", (3, 3)), Image.new("RGB", (20, 30)))
    open_openai(config).generate([request("<image><image><image>", images, (0,))], SAMPLING)
    sent = [part["image_url"]["url"] for part in server.bodies[0]["messages"][0]["content"]]
    sizes = [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size for url in sent]
    assert sizes == [(63, 15), (10, 10), (20, 30)]


def test_an_overlong_prompt_with_images_names_the_option_that_shortens_it(serve):
    server = serve(lambda body, times: answer(prompt_tokens=101))
    rows = server.open().generate([request("<image>", (Image.new("RGB", (9, 9)),))], SAMPLING)
    assert "model.max_pixels" in rows[0][0].error


def test_a_request_is_asked_again_no_more_often_than_configured(serve):
    server = serve(lambda body, times: refusal(429, "busy"))
    rows = server.open(retries=2).generate([request(rollouts=(0, 1))], SAMPLING)
    assert [(response.status, response.error) for response in rows[0]] == [("engine_error", "busy")] * 2
    assert set(server.asked.values()) == {3}


def test_a_server_that_wants_max_completion_tokens_gets_it(serve):
    def reply(body, times):
        if "max_tokens" in body:
            return refusal(400, "Unsupported parameter: use 'max_completion_tokens' instead.")
        return answer()

    server = serve(reply)
    rows = server.open().generate([request()], SAMPLING)
    assert {response.status for response in rows[0]} == {"ok"}
    assert server.bodies[-1]["max_completion_tokens"] == 8


def test_no_more_requests_are_under_way_than_allowed(serve):
    three = threading.Barrier(3)

    def reply(body, times):
        three.wait(120)  # nobody is answered before three ask
        return answer()

    server = serve(reply)
    server.open(concurrency=3).generate([request(sample=f"s{n}") for n in range(8)], SAMPLING)
    assert server.most == 3
    assert len(server.bodies) == 24


def test_the_api_key_comes_from_the_environment_and_stays_there(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "general")
    monkeypatch.setenv("RAP_OPENAI_API_KEY", "secret-one")
    server = serve()
    engine = server.open()
    assert server.headers[-1]["authorization"] == "Bearer secret-one"
    assert "secret-one" not in repr(vars(engine))
    with pytest.raises(RapError, match="no option 'api_key'"):
        server.open(api_key="secret-two")


def test_a_server_that_is_down_is_one_line_at_the_start():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(RapError, match="no OpenAI-compatible server answers") as caught:
        open_openai(ModelConfig(id="m", options={"base_url": url}))
    assert "\n" not in str(caught.value)


def test_a_server_that_dies_stops_the_run_instead_of_filling_it_with_failures(serve):
    server = serve()
    engine = server.open(retries=0)
    server.close()
    with pytest.raises(RapError, match="stopped answering"):
        engine.generate([request()], SAMPLING)


def test_a_server_that_hangs_up_once_is_asked_again(serve):
    server = serve(lambda body, times: (0, {}) if times == 0 else answer())
    rows = server.open().generate([request()], SAMPLING)
    assert {response.status for response in rows[0]} == {"ok"}


def test_a_server_that_repeats_the_key_puts_it_nowhere(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-swordfish")
    server = serve(lambda body, times: refusal(400, "bad request with key sk-swordfish"))
    [row] = server.open(retries=0).generate([request()], SAMPLING)
    assert {response.error for response in row} == {"bad request with key ***"}
    server.reply = lambda body, times: refusal(401, "no such key: sk-swordfish")
    with pytest.raises(RapError) as error:
        server.open(retries=0).generate([request()], SAMPLING)
    assert "swordfish" not in str(error.value)


def test_a_password_in_the_address_is_sent_and_shown_to_nobody(serve):
    server = serve(lambda body, times: refusal(403, "no"))
    server.url = server.url.replace("://", "://me:swordfish@")
    with pytest.raises(RapError) as error:
        server.open(retries=0).generate([request()], SAMPLING)
    assert "swordfish" not in str(error.value)
    assert "http://***@" in str(error.value)


def test_a_refused_key_names_the_variable(serve):
    server = serve(lambda body, times: refusal(401, "bad key"))
    with pytest.raises(RapError, match="RAP_OPENAI_API_KEY"):
        server.open().generate([request()], SAMPLING)


def test_an_unknown_model_is_answered_with_the_known_ones(serve):
    with pytest.raises(RapError, match="does not serve nope; give --model one of: m"):
        serve().open("nope")


def test_attention_is_reported_as_not_measured(serve):
    engine = serve().open()
    assert not engine.measures_attention
    rows = engine.attention([(request().prompt, [[1, 2]])], SAMPLING)
    assert set(rows[0][0].statistics.values()) == {None}
    assert rows[0][0].error


def test_it_also_runs_inside_an_event_loop(serve):
    import asyncio

    async def caller():
        return serve().open().generate([request()], SAMPLING)

    rows = asyncio.run(caller())
    assert {response.status for response in rows[0]} == {"ok"}


def test_every_option_is_documented():
    from rap_plugin.engines.openai import OPTIONS

    section = (
        (Path(__file__).parents[2] / "docs" / "engines.md").read_text().split("\n## openai\n")[1].split("\n## ")[0]
    )
    assert [option for option in OPTIONS if f"| `{option}` |" not in section] == []


@pytest.fixture(scope="module")
def vllm_server(tmp_path_factory):
    """The address of a real `vllm serve` of the demo model, on the CPU."""
    pytest.importorskip("vllm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1"}
    # What `vllm serve` runs; the command itself looks for a distribution called vllm, which the CPU build is not.
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(MODEL_DIR),
        "--port",
        str(port),
    ]
    command += ["--enforce-eager", "--dtype", "float32", "--max-model-len", "512", "--served-model-name", "demo"]
    # Seeded sampling of a prompt read in parts fails on vLLM 0.29's CPU build.
    command += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", "2048"]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        try:
            for _ in range(1200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None:
                        pytest.fail(f"vllm serve ended: {log.read_text()[-2000:]}")
                    time.sleep(0.25)
            else:
                pytest.fail(f"vllm serve did not come up: {log.read_text()[-2000:]}")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(60)


@pytest.mark.slow
@pytest.mark.long
def test_a_real_vllm_server_samples_both_arms(vllm_server):
    engine = open_openai(ModelConfig(options={"base_url": vllm_server}))
    assert engine.identity.name == "demo"
    image = Image.effect_noise((48, 48), 60).convert("RGB")
    requests = [
        Request(Prompt("s1", "image", "<image>What is the right digit?", (image,)), (0, 1, 2)),
        Request(Prompt("s1", "blind", "What is the right digit?"), (0, 1, 2)),
        Request(Prompt("s2", "blind", "digit " * 400), (0, 1)),
    ]
    sampling = Sampling(max_prompt_tokens=400, max_new_tokens=32, seed=1)
    rows = engine.generate(requests, sampling)
    assert [[response.status for response in row] for row in rows] == [["ok"] * 3, ["ok"] * 3, ["overlong"] * 2]
    assert rows[0][0].prompt_tokens > rows[1][0].prompt_tokens + 8
    assert all(response.token_ids and response.text for row in rows[:2] for response in row)
    again = engine.generate([Request(requests[0].prompt, (2,))], sampling)
    assert again[0][0].token_ids == rows[0][2].token_ids


def test_the_line_of_the_docs_runs_as_it_is_printed(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from rap_plugin.cli import cli
    from tests.fabricate import write_pool

    text = (Path(__file__).resolve().parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("rap select") and "--engine openai" in line)
    server = serve(lambda body, times: answer("\\boxed{3}" if "image_url" in str(body["messages"]) else "\\boxed{4}"))
    write_pool(tmp_path / "pool.parquet", 12)
    monkeypatch.chdir(tmp_path)
    words = line.replace("http://localhost:8000/v1", server.url).split()
    result = CliRunner().invoke(cli, [*words[1:], "--json", "--quiet"])
    found = json.loads(result.stdout.splitlines()[-1])
    assert sum(found["verdicts"].values()) == 12, result.output
    assert (tmp_path / "run" / "report.html").is_file()
