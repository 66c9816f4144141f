"""Mistakes in the gateway and the network, each of which the checks have to find."""

from tests.integration.kubernetes.mutants import Mutant, drop, gateway_container, policy

GATEWAYS = (
    Mutant(
        "setting that the gateway does not read",
        lambda m: m.settings.update(LESIONSERVE_ALLOWED_HOST="lesionserve.example"),
        "reads no LESIONSERVE_ALLOWED_HOST",
    ),
    Mutant(
        "any host allowed",
        lambda m: m.settings.update(LESIONSERVE_ALLOWED_HOSTS="*"),
        "name the hosts",
    ),
    Mutant(
        "everybody believed about the client",
        lambda m: m.settings.update(FORWARDED_ALLOW_IPS="*"),
        "believes",
    ),
    Mutant(
        "images in plain HTTP inside the cluster",
        lambda m: m.settings.update(
            LESIONSERVE_UPSTREAM_URL="http://lesionserve-inference-serve-svc:8000"
        ),
        "over HTTPS",
    ),
    Mutant(
        "authority that is not mounted",
        lambda m: m.settings.update(LESIONSERVE_UPSTREAM_CA="/etc/lesionserve/ca.crt"),
        "ca.crt is not mounted",
    ),
    Mutant(
        "uvicorn without the gateway's protocol",
        lambda m: gateway_container(m)["command"].remove("--http=gateway.protocol:GatewayProtocol"),
        "without the gateway's protocol",
    ),
    Mutant(
        "more images than memory",
        lambda m: m.settings.update(LESIONSERVE_MAX_IN_FLIGHT="64"),
        "do not fit into its memory",
    ),
    Mutant(
        "probe that the database can fail",
        lambda m: gateway_container(m)["livenessProbe"]["httpGet"].update(path="/readyz"),
        "not HTTPS /healthz",
    ),
    Mutant(
        "image of another version",
        lambda m: gateway_container(m).update(image="lesionserve-gateway:0.0.9"),
        "not of version",
    ),
    Mutant(
        "misspelt option of a daily task",
        lambda m: (
            m.pod("CronJob/lesionserve-backup").spec["containers"][0]["command"].append("--keeps")
        ),
        "backup: .*--keeps",
    ),
)

NETWORK = (
    Mutant(
        "no default for what is not listed",
        lambda m: drop(m, "NetworkPolicy", "default-deny"),
        "reaches",
    ),
    Mutant(
        "clients at the inference half",
        lambda m: policy(m, "inference-from-gateway")["ingress"].append(
            {"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 8000}]}
        ),
        "edge reaches Ray/cpu at 8000|pod of others reaches Ray/cpu at 8000",
    ),
    Mutant(
        "gateway at the ports of Ray",
        lambda m: [
            policy(m, name)[key][0].pop("ports")
            for name, key in (
                ("gateway-to-inference", "egress"),
                ("inference-from-gateway", "ingress"),
            )
        ],
        "lesionserve-gateway reaches Ray/cpu at 6380",
    ),
    Mutant(
        "head that may ask the internet",
        lambda m: policy(m, "head-to-api-server")["egress"][0]["to"].append(
            {"ipBlock": {"cidr": "0.0.0.0/0"}}
        ),
        "Ray/head reaches internet at 443",
    ),
    Mutant(
        "no way to the names",
        lambda m: drop(m, "NetworkPolicy", "dns"),
        "does not reach dns",
    ),
    Mutant(
        "selector of the redis policy misspelt",
        lambda m: policy(m, "redis")["podSelector"]["matchLabels"].update(
            {"app.kubernetes.io/component": "cache"}
        ),
        "does not reach StatefulSet/lesionserve-redis",
        variant="gpu-probed",
    ),
)

MUTANTS = (*GATEWAYS, *NETWORK)
