"""The dashboard about the daemons themselves."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from config.grafana.panels import (
    INTERNALS,
    NONE_IS_GOOD,
    POLICY,
    THIRD,
    WIDE,
    Line,
    Part,
    board,
    graph,
    number,
    rate,
    total,
)


def internals() -> Dashboard:
    """Return how the daemons themselves are."""
    parts = (_configuration(), _conversations(), _settlement(), _store())
    text = "How the daemons are: versions, configuration, connections, settlement, store."
    return board(INTERNALS, text, POLICY, parts)


def _configuration() -> Part:
    return "Daemons and configuration", [
        number(
            "Daemons",
            "Daemons that are scraped. Missing ones: alert PolicydMissing.",
            total("count(policyd_build_infoCHOSEN)"),
            unit="short",
        ),
        number(
            "Versions",
            "More than one only during an upgrade.",
            total("count(count by (version) (policyd_build_infoCHOSEN))"),
            unit="short",
            steps=((None, "green"), (2.0, "yellow")),
        ),
        number(
            "Failed reloads",
            "Daemons whose last reload failed; an older configuration is in force there.",
            total("sum(policyd_config_reload_failedCHOSEN)"),
            unit="short",
            steps=NONE_IS_GOOD,
        ),
        number(
            "Bad included files",
            "Included files that are bad; their last good text is in force.",
            total("max(policyd_config_stale_filesCHOSEN)"),
            unit="short",
            steps=NONE_IS_GOOD,
        ),
        number(
            "Oldest configuration",
            "How long ago the daemon that reloaded first did so. Daemons that differ have different limits.",
            total("time() - min(policyd_config_loaded_timestamp_secondsCHOSEN)"),
            unit="s",
        ),
        number(
            "Apart",
            "Time between the first and the last daemon's load of its configuration.",
            total(
                "max(policyd_config_loaded_timestamp_secondsCHOSEN)"
                " - min(policyd_config_loaded_timestamp_secondsCHOSEN)"
            ),
            unit="s",
        ),
        graph(
            "Reloads",
            "Reloads in the last hour, by how they ended.",
            total("sum by (result) (increase(policyd_config_reloads_totalCHOSEN[1h]))", "{{result}}"),
            unit="short",
            width=WIDE,
        ),
    ]


def _conversations() -> Part:
    return "Connections", [
        graph(
            "Open connections",
            "By service. Postfix has one for each smtpd that asks.",
            total("sum by (instance, service) (policyd_connectionsCHOSEN)", "{{instance}} {{service}}"),
            unit="short",
        ),
        graph(
            "Answers of each daemon",
            "Whether the load is spread.",
            rate("requests_total", "instance"),
            unit="reqps",
            stacked=True,
        ),
    ]


def _settlement() -> Part:
    return "Settlement", [
        graph(
            "Given back and repeated",
            "Messages given up, whose charges were undone; questions asked twice and charged once.",
            _rate_of("given_back_total", "given back"),
            _rate_of("repeats_total", "repeated"),
            unit="ops",
        ),
        graph(
            "What should not be",
            "Messages that ended without a record, kinds of traffic that lost their end-of-message check, and "
            "malformed requests: per hour. More than a few mean a Postfix that asks in the wrong way.",
            *(
                total(f"sum(increase(policyd_{metric}CHOSEN[1h]))", name)
                for metric, name in (
                    ("settle_unknown_total", "no record"),
                    ("settle_lost_total", "lost the check"),
                    ("protocol_errors_total", "malformed"),
                )
            ),
            unit="short",
        ),
    ]


def _store() -> Part:
    return "Store", [
        graph(
            "Calls",
            "Calls of the store that were answered, per second. Inbound mail makes none.",
            rate("store_seconds_count", "instance"),
            unit="ops",
            width=THIRD,
        ),
        graph(
            "Calls without an answer",
            "By what was asked of the store.",
            rate("store_errors_total", "op"),
            unit="ops",
            width=THIRD,
        ),
        graph(
            "Time in the store",
            "How much of each second the calls of a daemon wait for the store, all together.",
            rate("store_seconds_sum", "instance"),
            unit="s",
            width=THIRD,
        ),
    ]


def _rate_of(metric: str, name: str) -> Line:
    return total(f"sum(rate(policyd_{metric}CHOSEN[$__rate_interval]))", name)
