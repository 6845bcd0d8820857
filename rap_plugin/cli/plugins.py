"""`rap plugins`."""

from __future__ import annotations

import json

import click


@click.command("plugins", short_help="List plugins and what they register.")
@click.option("--plugin", "plugin_files", multiple=True, metavar="FILE", help="Load a plugin file first.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(plugin_files: tuple[str, ...], as_json: bool) -> None:
    """List plugins, what each one registers, and those that failed to load (then with status 1)."""
    from rap_plugin.plugins import KINDS, get_plugins, load_plugin_files

    load_plugin_files(plugin_files)
    plugins = get_plugins()
    registry = plugins.registry()
    brought = {
        name: {
            kind: found
            for kind in KINDS
            if (found := sorted(thing for thing, owner in registry.owners[kind].items() if owner == name))
        }
        for name in plugins.names()
    }
    if as_json:
        click.echo(json.dumps({"plugins": brought, "failures": plugins.failures}, indent=2))
        raise SystemExit(1 if plugins.failures else 0)
    for name, kinds in brought.items():
        click.echo(name)
        for kind, things in kinds.items():
            click.echo(f"  {kind}: {', '.join(things)}")
    for name, reason in plugins.failures.items():
        click.echo(f"{name}: failed to load ({reason})", err=True)
    if plugins.failures:
        raise SystemExit(1)
