"""A host calls options by short names of its own, and errors follow."""

import pytest

from rap_plugin.config import option_names
from rap_plugin.errors import Command, EmptySelection, Option, RapError
from rap_plugin.hosts.options import short_names, spelled, spelling_of


def test_every_option_has_a_short_name_of_its_own_among_those_that_hosts_offer():
    names = short_names(name for name in option_names() if name.startswith(("sampling.", "selection.", "ace.")))
    assert len(set(names.values())) == len(names)
    assert names["selection.lambda_c"] == "lambda_c"
    assert (names["sampling.seed"], names["selection.seed"]) == ("seed", "selection_seed")


def test_what_a_host_has_no_word_for_is_spelled_as_on_the_command_line():
    spell = spelling_of({"selection.keep": "keep", "rap select": "the same call"})
    error = RapError(Option("selection.keep"), ", ", Option("sampling.rollouts"), ", ", Command("rap select"))
    assert error.text(spell) == "keep, --rollouts, the same call"


def test_errors_leave_a_host_with_its_names_and_as_the_kind_that_they_are():
    with (
        pytest.raises(EmptySelection, match=r"^lower lambda_c$"),
        spelled(spelling_of({"selection.lambda_c": "lambda_c"})),
    ):
        raise EmptySelection("lower ", Option("selection.lambda_c"))
