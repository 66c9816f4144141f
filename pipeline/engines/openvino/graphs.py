from pathlib import Path
from typing import Any

from pipeline.engines.openvino.runtime import runtime
from pipeline.errors import EngineUnavailable

# OpenVINO models ("dense", "box" and perhaps "mask"), by the name of the network:
#
# dense takes pictures (N, H, W, 3) uint8 of any size. It returns the cells (N, sum of h * w, C) of
#       the feature maps that the heads pool from, one map after the other and row by row; and for
#       each feature map of the RPN the logits (N, A, h, w) and deltas (N, A * 4, h, w) of its
#       anchors.
# box   takes pooled features (R, P, P, C). It returns class logits (R, K + 1) and box deltas
#       (R, K * 4) or, class-agnostic, (R, 4).
# mask  takes pooled features (R, P, P, C). It returns mask logits (R, K, M, M) or, class-agnostic,
#       (R, 1, M, M).
Graphs = dict[str, Any]


def write_graphs(graphs: Graphs, folder: Path) -> None:
    """Write each graph as OpenVINO's two files, an .xml and a .bin, into the new folder."""
    folder.mkdir()
    for name, graph in graphs.items():
        _name_by_place(graph, name)
        runtime().save_model(graph, folder / f"{name}.xml", compress_to_fp16=False)


def _name_by_place(graph: Any, name: str) -> None:
    """Rename the graph, its operations by their type and position, and its inputs and outputs.

    OpenVINO's own names count across all graphs of a process, but the same model must give the same
    bytes.
    """
    graph.set_friendly_name(name)
    for place, operation in enumerate(graph.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{place}")
    for kind, ports in (("input", graph.inputs), ("output", graph.outputs)):
        for place, port in enumerate(ports):
            port.get_tensor().set_names({f"{kind}_{place}"})


def read_graphs(folder: Path) -> Graphs:
    """Return the graphs in a folder. Raise EngineUnavailable where they cannot be read."""
    core = runtime().Core()
    try:
        graphs = {path.stem: core.read_model(path) for path in sorted(folder.glob("*.xml"))}
    except RuntimeError as error:
        raise EngineUnavailable(
            f"the installed OpenVINO cannot read the graphs in {folder.name}/; pack the bundle "
            "again"
        ) from error
    if graphs["dense"].input(0).get_element_type() != runtime().Type.u8:
        raise EngineUnavailable(
            f"the graphs in {folder.name}/ are those of an older version of lesionserve; pack the "
            "bundle again"
        )
    return graphs
