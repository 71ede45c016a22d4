"""From a bundle to one with the variants that are worth having, sealed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from saccade.bundle import Bundle
from saccade.errors import CheckError
from saccade.opening import open_task
from saccade.verify import verify
from saccade_export.precision.adding import with_variants
from saccade_export.quantize.search import Findings
from saccade_export.seal import seal


def adopt(bundle: Bundle, findings: Findings, provenance: Mapping[str, str], path: Path) -> Bundle:
    """Write ``bundle`` with what ``findings`` chose to ``path``, each new variant's golden frames repeated first.

    Raises ``CheckError`` where one fails, and then leaves nothing at ``path`` that was not there before.
    """
    manifest, members = with_variants(bundle, findings.first, findings.last)
    manifest = replace(manifest, provenance={**manifest.provenance, **provenance})
    known = {variant.name for variant in bundle.manifest.variants}

    def check(written: Bundle) -> None:
        for variant in written.manifest.variants:
            if variant.name not in known:
                with open_task(written, device="cpu", variant=variant.name) as task:
                    if not all(result.passed for result in verify(written, task)):
                        raise CheckError(
                            f"variant {variant.name} does not repeat its golden frames; nothing was written"
                        )

    return seal(manifest, members, path, check)
