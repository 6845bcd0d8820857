"""Ask `rap r3 serve` with the official openai client; the reasoning comes as it is written.

rap r3 serve --model "$(rap path r3-model)" --set sampling.max_new_tokens=96 &
python examples/vlm_r3/client.py "$(rap path r3-scene)" "Which framed digit is larger?"
"""

from __future__ import annotations

import argparse
import base64
import mimetypes
from pathlib import Path

import openai


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("question")
    parser.add_argument("--url", default="http://127.0.0.1:8400/v1")
    args = parser.parse_args()

    kind = mimetypes.guess_type(args.image)[0] or "image/png"
    url = f"data:{kind};base64,{base64.b64encode(args.image.read_bytes()).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": args.question}]
    client = openai.OpenAI(base_url=args.url, api_key="none")
    model = client.models.list().data[0].id
    messages = [{"role": "user", "content": content}]
    for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
