"""What the inventory says: hosts, segments, networks outside, settings."""

from deployctl.site.ansible import ansible_environment, ansible_program
from deployctl.site.client import ClientSettings, read_client
from deployctl.site.inventory import load_site
from deployctl.site.model import INVENTORIES, MANAGEMENT, Host, Site
from deployctl.site.view import inventory_view

__all__ = [
    "INVENTORIES",
    "MANAGEMENT",
    "ClientSettings",
    "Host",
    "Site",
    "ansible_environment",
    "ansible_program",
    "inventory_view",
    "load_site",
    "read_client",
]
