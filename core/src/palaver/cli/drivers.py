"""`palaver drivers`: what is installed, and what it lacks."""

from __future__ import annotations

import click

from palaver.discovery.drivers import driver_fault, installed_drivers

__all__ = ("drivers",)


@click.command()
def drivers() -> None:
    """List the installed drivers, and what they lack."""
    for driver in installed_drivers():
        fault = driver_fault(driver)
        lack = "" if fault is None else f" - cannot be used: {fault}"
        click.echo(f"{driver.scheme:<16}{driver.distribution} {driver.version}{lack}")
