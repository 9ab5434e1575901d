"""Dependence with frictions, read a second time from element 7.24 of ``docs/odd.md`` alone."""

from __future__ import annotations

import math

import numpy as np


class Adapter:
    """What a lab has learned of a model's errors from its own results."""

    def __init__(self, lineage):
        self.lineage, self.results, self.weights = lineage, [], None

    def fit(self, community, model):
        """Weights on what is kept, by the model as it is now."""
        p = community.p.planners
        self.by_family, self.K = p.adapter_features == "family", community.K
        rows, errors, precision = [], [], []
        for r in self.results[-p.adapter_records :]:
            phi = model.features(community.ambient(r.material))
            rows.append(self.row(phi, r.family))
            errors.append(r.value - model.predict(r.material, phi)[0])
            precision.append(1 / (r.variance + model.head.noise))
        if not rows:
            self.weights = None
            return
        phi, d = np.array(rows), np.diag(precision)
        prior = np.eye(phi.shape[1]) / p.adapter_sd**2
        self.weights = np.linalg.solve(phi.T @ d @ phi + prior, phi.T @ d @ np.array(errors))

    def row(self, phi, family):
        return np.array([float(k == family) for k in range(self.K)]) if self.by_family else phi

    def shift(self, phi, family):
        """What is added to a prediction."""
        return 0.0 if self.weights is None else float(self.row(phi, family) @ self.weights)


class Frictions:
    """What infrastructure, trainers and labs cannot do at once."""

    met: set[str]  # what has occurred, so that a comparison can say what it has compared

    # ------------------------------------------------------------------ service

    def open_weights(self):
        """Models whose weights are open."""
        if self.host_nodes and self.trainers:
            u = self.lines("uniform", "infrastructure.open_weights", len(self.trainers), 0)
            for m, node in enumerate(self.model_nodes):
                node.open = bool(u[m] < self.p.infrastructure.open_weights)

    def host(self, m):
        return m % len(self.host_nodes)

    def answers(self, m):
        """Whether a published model is served."""
        node = self.model_nodes[m]
        if self.host_nodes:
            return node.open or not (node.down or self.host_nodes[self.host(m)].down)
        working = sum(1 for s in self.trainers[m].sources if s is not None and not self.repositories[s].down)
        return not node.down and working >= self.p.infrastructure.need

    # ------------------------------------------------------------------ shocks on nodes

    def hit(self, shock):
        """A shock that begins chooses nodes; what it does depends on its name."""
        models, kind = self.model_nodes, shock.name
        lineage = [None if t.model is None else t.model.encoder.lineage for t in self.trainers]
        used = self.model_loads()
        hosted = [sum(n for m, n in enumerate(used) if self.host(m) == h) for h in range(len(self.host_nodes))]
        nodes, loads, likeness = {
            "repository_outage": (self.repositories, self.repository_loads(), self.held()),
            "host_outage": (self.host_nodes, hosted, hosted),
        }.get(kind, (models, used, lineage))
        end = math.inf if shock.end is None else shock.end
        for i in self.hit_nodes(shock, len(nodes), loads, likeness):
            if kind == "model_freeze":
                nodes[i].frozen = True
            elif kind == "licence_end":
                nodes[i].open = False
            elif shock.end is None and nodes is not self.host_nodes:
                announced = self.tick + self.p.infrastructure.notice
                nodes[i].closing = announced if nodes[i].closing is None else min(announced, nodes[i].closing)
            else:
                nodes[i].down, nodes[i].until = True, max(end, nodes[i].until)

    def hit_nodes(self, shock, n, loads, likeness):
        clocks = self.lines("exponential", f"shock.{shock.name}", n)
        if shock.target not in ("random", "largest", "correlated"):
            return [shock.target]
        if shock.target == "random":
            order = sorted(range(n), key=lambda i: clocks[i])
        elif shock.target == "largest":
            order = sorted(range(n), key=lambda i: (-loads[i], clocks[i]))
        else:
            first = min(range(n), key=lambda i: clocks[i])
            distance = [abs(likeness[i] - likeness[first]) for i in range(n)]
            order = sorted(range(n), key=lambda i: (distance[i], clocks[i]))
        return order[: max(1, round(shock.strength * n))]

    def close(self):
        """Ends that were announced, and whose time has come."""
        for nodes in (self.repositories, self.model_nodes):
            for i, node in enumerate(nodes):
                if node.closing is not None and self.tick >= node.closing and node.until < math.inf:
                    node.down, node.until = True, math.inf
                    if nodes is self.repositories:
                        self.migrate(i)

    def migrate(self, r):
        """A share of what a repository holds alone goes to another."""
        clocks = self.lines("exponential", "infrastructure.heir", (self.R, self.R))[r]
        stay = [0.0 if n.down or n.closing is not None else 1.0 for n in self.repositories]
        stay = [s * (h + 1) for s, h in zip(stay, self.held(), strict=True)]
        share = self.p.infrastructure.migration
        if not any(stay) or share == 0:
            return
        heir = min((i for i in range(self.R) if stay[i]), key=lambda i: clocks[i] / stay[i])
        for item in self.records + self.structures:
            moves = self.of_record("infrastructure.migration", item.key) < share
            if moves and item.repository == r and not item.federated and getattr(item, "alive", True):
                item.repository = heir
                self.met.add("moved")

    def ends(self, m):
        """Whether the end of a model is announced."""
        node = self.model_nodes[m]
        return node.closing is not None and not node.down and not (self.host_nodes and node.open)

    def staying(self, number):
        """Served models whose end is not announced."""
        return [m for m in self.served(number) if not self.ends(m)]

    # ------------------------------------------------------------------ trainers

    def search(self):
        """Trainers without a source look for another."""
        tau, found = self.p.infrastructure.search_time, []
        if tau < 0:
            return
        for t in self.trainers:
            nodes = self.repositories
            good = [s for s in t.sources if s is not None and not nodes[s].down and nodes[s].closing is None]
            if len(good) >= max(1, self.p.infrastructure.need):
                t.looking = None
                continue
            t.looking = self.tick if t.looking is None else t.looking
            if self.tick - t.looking >= tau:
                t.sources = good
                found.append(t)
        self.link_trainers(found)

    def release(self):
        """Models whose training is over are published."""
        for t in self.trainers:
            for _, fresh in [pair for pair in t.in_training if pair[0] <= self.tick]:
                self.publish(t, fresh)
            t.in_training = [pair for pair in t.in_training if pair[0] > self.tick]

    # ------------------------------------------------------------------ labs

    def foresight(self, q, m):
        """Weight of a model that a lab would first have to learn to use."""
        p = self.p.planners
        return 1.0 if m in q.models else p.discount**p.switching_time

    def learn_to_use(self, q, before):
        """What a lab takes up can be used later."""
        for m in q.models:
            if m is not None and m not in before:
                q.ready[m] = self.tick + self.p.planners.switching_time if self.tick > 0 else 0
        q.ready = {m: tick for m, tick in q.ready.items() if m in q.models}

    def learns(self, q):
        """Whether a lab is still learning to use a model that it has taken up."""
        return any(self.tick - 1 < q.ready.get(m, 0) for m in q.models if m is not None)

    def in_use(self):
        return [(q, m) for q in self.planners if (m := self.model_of(q)) is not None]

    def adapt(self):
        """Fit adapters to labs' own results."""
        if not self.p.planners.adapter_records:
            return
        for q, m in self.in_use():
            model = self.trainers[m].models[q.property]
            if q.adapter is None or q.adapter.lineage != model.encoder.lineage:
                q.adapter = Adapter(model.encoder.lineage)
            q.adapter.fit(self, model)

    def keep_result(self, r):
        q = r.planner
        if q.adapter is not None and r.made:
            q.adapter.results.append(r)
