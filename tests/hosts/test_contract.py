"""What a host has to have is looked up by name, and what is not there is named."""

import pytest

from rap_plugin.errors import RapError
from rap_plugin.hosts.contract import Host, check_function, installed, refuse, unmet

HOST = Host("Host", "no-such-distribution", ("1.0",), "our hook", "export instead")


def _function(first, second):
    def inner():
        return first.deep, ("text",)

    return inner, second.outer


def test_a_function_that_has_everything_is_no_problem():
    assert check_function("f", _function, ("first", "second"), ("outer", "deep", "text")) is None


@pytest.mark.parametrize(
    ("thing", "parameters", "uses", "message"),
    [
        (None, (), (), "f is gone"),
        (_function, ("first", "third"), (), "f has no parameter 'third'"),
        (_function, (), ("deep", "shallow"), "f no longer uses 'shallow'"),
    ],
)
def test_what_is_missing_of_a_function_is_named(thing, parameters, uses, message):
    assert check_function("f", thing, parameters, uses) == message


def test_modules_and_attributes_that_are_gone_are_named():
    found = unmet({"json:loads": (("s",), ()), "json:nothing.here": ((), ()), "no_such_module:f": ((), ())})
    assert [problem.split(" (")[0] for problem in found] == ["json.nothing.here is gone", "no_such_module.f is gone"]


def test_a_refusal_is_one_line_with_the_first_problem_and_the_ways_around_it():
    refuse(HOST, [])
    with pytest.raises(RapError) as raised:
        refuse(HOST, ["f is gone", "g is gone", "h is gone"])
    assert str(raised.value) == (
        "Host of an unknown version does not fit our hook (tested: 1.0): f is gone and 2 more; export instead, "
        "or install a tested version"
    )


def test_a_package_without_metadata_has_an_unknown_version():
    assert installed(HOST) == "of an unknown version"
