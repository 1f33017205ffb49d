"""The dashboard about customers: what they send, and what they hear."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from config.grafana.panels import (
    INTERNALS,
    NONE_IS_GOOD,
    POLICY,
    THIRD,
    Part,
    bars,
    board,
    gauge,
    graph,
    number,
    quantiles,
    rate,
    total,
)

FULL = ((None, "green"), (0.8, "yellow"), (1.0, "red"))


def mail_policy() -> Dashboard:
    """Return what customers are sending, and what they hear."""
    parts = (_now(), _decisions(), _customers(), _lists_and_logins(), _dns_and_notices(), _answers())
    text = "What customers send, what limits refuse, and whether policyd answers in time."
    return board(POLICY, text, INTERNALS, parts)


def _now() -> Part:
    return "Now", [
        number(
            "Answers",
            "Answers per second, to Postfix and to Dovecot.",
            total("sum(rate(policyd_requests_totalCHOSEN[$__rate_interval]))"),
            unit="reqps",
        ),
        number(
            "Refused",
            "How much of all that was asked got a 4xx, a 5xx or a hold. A jump is a stolen password or a bad reload.",
            total(
                'sum(rate(policyd_requests_total{instance=~"$instance",action!~"accept|delay"}[$__rate_interval]))'
                " / sum(rate(policyd_requests_totalCHOSEN[$__rate_interval]))"
            ),
            unit="percentunit",
            steps=((None, "green"), (0.1, "yellow"), (0.5, "red")),
        ),
        number(
            "Fullest account",
            "How much of its limit the fullest account has used. Which one: the bars below.",
            total("max(policyd_account_usage_ratioCHOSEN)"),
            unit="percentunit",
            steps=FULL,
        ),
        number(
            "Suspended",
            "Accounts of which something is suspended now. policyd events says who did it and why.",
            total("max(policyd_suspended_accountsCHOSEN)"),
            unit="short",
        ),
        number(
            "p99 answer",
            "One answer in a hundred takes longer than this. Postfix waits for each.",
            quantiles("decision_seconds")[-1],
            unit="s",
            steps=((None, "green"), (0.05, "yellow"), (0.1, "red")),
        ),
        number(
            "Daemons without store",
            "Daemons whose store does not answer: they let flow or defer, as store.when_down says.",
            total("count(policyd_store_upCHOSEN) - sum(policyd_store_upCHOSEN)"),
            unit="short",
            steps=NONE_IS_GOOD,
        ),
    ]


def _decisions() -> Part:
    return "Decisions", [
        graph(
            "By action",
            "Answers per second: accepted, delayed, deferred (450), rejected (550), held.",
            rate("requests_total", "action"),
            unit="reqps",
            stacked=True,
        ),
        graph(
            "By traffic",
            "What kind of sending it is: logins' and scripts' mail, lists, relayed, inbound, POP and IMAP logins.",
            rate("requests_total", "traffic"),
            unit="reqps",
            stacked=True,
        ),
        graph(
            "Refusals by limit",
            "Which limit refuses. (suspension) is what suspended customers still try.",
            rate("refusals_total", "limit"),
            unit="reqps",
            width=THIRD,
            stacked=True,
        ),
        graph(
            "Refusals by plan",
            "Whether a plan is too small for those who are on it.",
            rate("refusals_total", "plan"),
            unit="reqps",
            width=THIRD,
            stacked=True,
        ),
        graph(
            "Let through in mode observe",
            "What limits in mode observe would have refused. Empty where none observes.",
            rate("observed_refusals_total", "limit"),
            unit="reqps",
            width=THIRD,
            stacked=True,
        ),
    ]


def _customers() -> Part:
    return "Customers", [
        bars(
            "Fullest accounts",
            "How much of which limit is used; at 100 % the next mail is refused. policyd status DOMAIN has more.",
            total("topk(20, max by (account, limit) (policyd_account_usage_ratioCHOSEN))", "{{account}} {{limit}}"),
            unit="percentunit",
            most=1,
            steps=FULL,
        ),
        graph(
            "Suspensions and spam traps",
            "Suspended accounts, and mail to spam traps in the last hour: either is somebody to talk to.",
            total("max(policyd_suspended_accountsCHOSEN)", "suspended accounts"),
            total("sum(increase(policyd_trap_hits_totalCHOSEN[1h]))", "mail to spam traps"),
            unit="short",
        ).height(12),
    ]


def _lists_and_logins() -> Part:
    return "Lists and logins", [
        graph(
            "Mail of lists",
            "What lists send to their members. Deferred copies are not lost: the list software tries again.",
            rate("requests_total", "action", 'traffic="list"'),
            unit="reqps",
            width=THIRD,
            stacked=True,
        ),
        graph(
            "Delayed answers",
            "Answers that wait for the slot of a pace, each holding an smtpd, and how many may.",
            gauge("delayed_answers", "{{instance}} waiting"),
            gauge("delayed_answers_max", "{{instance}} may wait"),
            unit="short",
            width=THIRD,
        ),
        graph(
            "POP and IMAP refused",
            "Logins refused by limit, and the most mailboxes refused to one client in the last hour.",
            rate("refusals_total", "limit", 'traffic="login"'),
            total("max(policyd_mailboxes_refused_to_one_clientCHOSEN)", "mailboxes to one client"),
            unit="short",
            width=THIRD,
        ),
    ]


def _dns_and_notices() -> Part:
    return "DNS and notices", [
        graph(
            "DNS of hosted domains",
            "Domains by what the DNS watch found: mail still comes here, SPF lets ours pass, DMARC is there.",
            total("max by (check, state) (policyd_dns_domainsCHOSEN)", "{{check}} {{state}}"),
            unit="short",
            width=THIRD,
        ),
        graph(
            "Blocklists",
            "Our sending addresses that a list has, and whether it answers. policyd dns check says which and why.",
            total("max by (list) (policyd_dnsbl_listedCHOSEN)", "{{list}} lists"),
            total("min by (list) (policyd_dnsbl_upCHOSEN)", "{{list}} answers"),
            unit="short",
            width=THIRD,
        ),
        graph(
            "Notices",
            "Notices in the last hour that were taken, and that were given up after all tries: somebody was not told.",
            total("sum by (way) (increase(policyd_notices_sent_totalCHOSEN[1h]))", "{{way}} taken"),
            total("sum by (way) (increase(policyd_notices_failed_totalCHOSEN[1h]))", "{{way}} given up"),
            unit="short",
            width=THIRD,
        ),
    ]


def _answers() -> Part:
    return "Answers and store", [
        graph(
            "Time to an answer",
            "Half, nine in ten and 99 in a hundred answers were faster. Delays of a pace are not in it.",
            *quantiles("decision_seconds"),
            unit="s",
            width=THIRD,
        ),
        graph(
            "Time of the store",
            "One call of Redis. As long as the answers: look after Redis. Shorter: policyd needs more daemons.",
            *quantiles("store_seconds"),
            unit="s",
            width=THIRD,
        ),
        graph(
            "Health of the store",
            "1 while the store answers, and the answers per second that had to be given without it.",
            gauge("store_up", "{{instance}} up"),
            rate("answers_without_store_total", "action"),
            unit="short",
            width=THIRD,
        ),
    ]
