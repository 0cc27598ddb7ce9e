"""Rules of the model rows: names that mean one model, and quantizations that are known."""

from __future__ import annotations

from collections.abc import Iterator

from planner.catalog.finding import Finding, error
from planner.catalog.load import Catalog

_PLAIN = ("BF16", "F16")


def model_findings(catalog: Catalog) -> Iterator[Finding]:
    """Breaches of the rules by any model row."""
    owners: dict[str, str] = {}
    for model in catalog.models.values():
        for name in dict.fromkeys(text.casefold() for text in (model.name, *model.aliases)):
            owner = owners.setdefault(name, model.name)
            if owner != model.name:
                yield error("model", model.name, "aliases", f"'{name}' is a name of '{owner}' too")
        if model.family != model.family.casefold():
            yield error("model", model.name, "family", f"'{model.family}' is not in lower case")
        if model.recommended not in catalog.quantizations:
            message = f"there is no quantization '{model.recommended}'"
            yield error("model", model.name, "recommended", message)
        for repository in model.repositories:
            for quant in repository.quantizations:
                if quant not in catalog.quantizations:
                    message = f"{repository.id}: there is no quantization '{quant}'"
                    yield error("model", model.name, "repositories", message)
                elif not _stored(catalog, quant, repository.kind):
                    message = f"{repository.id}: '{quant}' is no format of a {repository.kind}"
                    yield error("model", model.name, "repositories", message)


def _stored(catalog: Catalog, quant: str, kind: str) -> bool:
    """Whether files of a kind can be in a quantization; 16 bits are in both."""
    return quant in _PLAIN or catalog.quantizations[quant].kind == kind
