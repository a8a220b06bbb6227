"""What client.yml answers: compared with what the release asks, so that a misspelt answer is not silently none."""

from __future__ import annotations

from dataclasses import replace

from deploybundle.errors import InputError, did_you_mean, nearest
from deploybundle.release import Release
from deployctl.desired.around import Around
from deployctl.desired.render import asked_of_client, template_names
from deployctl.desired.sources import Sources
from deployctl.site import Site

OTHER_PRODUCT = "is it another product's? then write it below its name: products: {{NAME: {{settings: {{{}: …}}}}}}"


class SettingUnknown(InputError):
    """The client answers a setting that the product does not have.

    Check the spelling; `deployctl inspect BUNDLE` lists the product's settings.
    """

    code = "setting-unknown"


class ServiceUnknown(InputError):
    """The client limits a service that the release does not have.

    Check the spelling; `deployctl inspect BUNDLE` lists the product's services.
    """

    code = "service-unknown"


def settings_of(release: Release, sources: Sources) -> frozenset[str]:
    """What the client may answer: the release's variables, and what its templates read as `client.NAME`."""
    names = template_names(sources.files, release.config_dir)
    return frozenset(release.settings).union(*(asked_of_client(name, sources.files[name]) for name in names))


def check_settings(known: frozenset[str], site: Site) -> None:
    """A misspelt answer would silently be none. Raises SettingUnknown."""
    unknown = sorted(set(site.client.settings) - known)
    if unknown:
        place = site.said_at("settings", unknown[0])
        other = "" if nearest(unknown[0], known) else OTHER_PRODUCT.format(unknown[0])
        hint = "\n".join(filter(None, [did_you_mean(unknown[0], known), other]))
        raise SettingUnknown(f"{site.product} has no such setting", place=place, hint=hint)


def check_resources(release: Release, site: Site) -> None:
    """Raises ServiceUnknown."""
    for name in sorted(set(site.client.resources) - set(release.services)):
        place = site.said_at("resources", name)
        raise ServiceUnknown(f'no service "{name}"', place=place, hint=did_you_mean(name, release.services))


def own_answers(release: Release, known: frozenset[str], site: Site, given: Around) -> Site:
    """The site without what client.yml says to all products and only others of them understand.

    `known` are the settings of this release. Anything else that it does not know stays, to be refused as a mistake.
    """
    client = site.client
    own = site.client.products.get(site.product)
    names = {"settings": known, **dict.fromkeys(("place", "ports", "resources"), frozenset(release.services))}
    kept = {
        key: {
            name: value
            for name, value in getattr(client, key).items()
            if name in knows or (own and name in getattr(own, key)) or not (given.answers is None or name in given.answers)
        }
        for key, knows in names.items()
    }
    return replace(site, client=client.model_copy(update=kept))
