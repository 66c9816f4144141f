from cluster.monitoring.grafana.gateway import GATEWAY
from cluster.monitoring.grafana.graph import GRAPH
from cluster.monitoring.grafana.model import MODEL
from cluster.monitoring.grafana.service import SERVICE

BOARDS = (SERVICE, MODEL, GRAPH, GATEWAY)
