"""`rap modality-gap`."""

from __future__ import annotations

import click

from rap_plugin.cli import modality_gap_prepare, modality_gap_report, modality_gap_train


@click.group("modality-gap", short_help="Text against image: data, training recipes, the gap.")
def command() -> None:
    """The modality gap (arXiv 2510.22836): the same problem with its facts in words and in the image alone."""


command.add_command(modality_gap_prepare.command)
command.add_command(modality_gap_report.measure_command)
command.add_command(modality_gap_report.report_command)
command.add_command(modality_gap_train.command)
