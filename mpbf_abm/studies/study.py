"""A study with its acts: read it, check it, plan it, run it, extend it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.interventions import Policy
from mpbf_abm.studies import definition
from mpbf_abm.studies.definition import Arm
from mpbf_abm.studies.driver import run_study
from mpbf_abm.studies.files import read_study, write_study
from mpbf_abm.studies.plan import Plan
from mpbf_abm.studies.results import Results


class Study(definition.Study):
    """A study, as :class:`mpbf_abm.studies.definition.Study` describes it, that can be run.

    Examples
    --------
    >>> study = Study(name="audits", policies=[Policy("audits", start=24)], replicates={"n": 10})
    >>> study.plan().count()
    20
    >>> study.extend(policies=[Policy("redundancy", start=24)], replicates=40).plan().count()
    120
    >>> results = study.run("results/audits")  # doctest: +SKIP
    >>> results.outcomes.groupby(["arm", "outcome"])["value"].median()  # doctest: +SKIP
    """

    _folder: Path = PrivateAttr(default_factory=Path)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a study file.

        Raises
        ------
        ConfigurationError
            Every fault at once, each with the name of the file.
        """
        return cls._with(read_study(path), Path(path).parent)

    @classmethod
    def _with(cls, study: definition.Study, folder: Path, **fields: Any) -> Self:
        own = {name: getattr(study, name) for name in definition.Study.model_fields}
        new = cls(**(own | fields))
        new._folder = folder
        return new

    def to_toml(self) -> str:
        """Return the content of a study file."""
        return write_study(self)

    def plan(self) -> Plan:
        """Plan the runs: scenarios, arms, replicates, ids, seeds."""
        return Plan.of(self, self._folder)

    def check(self) -> list[str]:
        """Check everything that can be checked before running; returns remarks.

        Raises
        ------
        ConfigurationError
            Every fault at once.
        """
        return self.plan().check()

    def run(self, out: str | Path, **how: Any) -> Results:
        """Make the runs that the store in a folder does not hold yet.

        Parameters
        ----------
        out : path
            Folder of the store; made if there is none.
        **how
            `workers`, `engine`, `retry`, `progress`; see :func:`~mpbf_abm.studies.driver.run_study`.

        Returns
        -------
        Results
            All that the store holds of this study; what failed is in its `failures`.
        """
        run_study(self, out, folder=self._folder, **how)
        return Results.open(out, self)

    def extend(
        self, *, policies: Iterable[Policy | Arm] = (), replicates: int | None = None, scenarios: int | None = None
    ) -> Self:
        """Return the study with more to it; in the same folder only the new runs are made.

        Parameters
        ----------
        policies : iterable of Policy or Arm
            More arms.
        replicates : int, optional
            Replicates in all.
        scenarios : int, optional
            Scenarios in all, of a design that has a number of them.
        """
        fields: dict[str, Any] = {"policies": (*self.policies, *policies)}
        if replicates is not None and self.replicates.seeds:
            raise ConfigurationError(
                "extend: the study names its seeds; give more of them, replicates={'seeds': [...]}"
            )
        if replicates is not None:
            fields["replicates"] = {"n": replicates}
        if scenarios is not None:
            fields["design"] = self.design.model_dump(exclude_defaults=True) | {"n": scenarios}
        return self._with(self, self._folder, **fields)
