"""No modules import each other in a circle, at the top or inside functions. The floors are a contract of import-linter (`make lint`)."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp


def test_no_circles() -> None:
    graph = grimp.build_graph("discontrolface", exclude_type_checking_imports=True, cache_dir=None)
    modules = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    order = list(TopologicalSorter(modules).static_order())  # graphlib.CycleError names the circle
    assert order.index("discontrolface.common.errors") < order.index("discontrolface.editing.editor")
