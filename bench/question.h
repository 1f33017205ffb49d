/* One request as Postfix 3.7 sends it: 29 attributes in its order, some 700 bytes (SMTPD_POLICY_README). */
#ifndef QUESTION_H
#define QUESTION_H

#include <stddef.h>
#include <stdio.h>

/* end: END-OF-MESSAGE, else RCPT; several: of more than one recipient; local: a script on this host. */
struct question {
    int end, local, several;
    unsigned recipient, accepted, domain, user, message, connection, process, started;
};

static size_t question_text(const struct question *q, char *to, size_t room)
{
    char login[64] = "", recipient[64] = "", queue_id[32] = "";
    const char *host = q->local ? "localhost" : "client-17.access.example.net";
    if (!q->local)
        snprintf(login, sizeof login, "user%u@domain%u.test", q->user, q->domain);
    if (!q->end || !q->several)
        snprintf(recipient, sizeof recipient, "recipient%u.%u@remote%u.example", q->message,
                 q->end ? 0 : q->recipient, q->connection);
    if (q->accepted) /* Postfix makes the queue file when it accepts the first recipient */
        snprintf(queue_id, sizeof queue_id, "%08X%03X", q->message, q->connection & 0xfff);
    return (size_t)snprintf(
        to, room,
        "request=smtpd_access_policy\nprotocol_state=%s\nprotocol_name=ESMTP\nclient_address=%s\nclient_name=%s\n"
        "client_port=%u\nreverse_client_name=%s\nserver_address=%s\nserver_port=%s\nhelo_name=[192.168.178.23]\n"
        "sender=user%u@domain%u.test\nrecipient=%s\nrecipient_count=%u\nqueue_id=%s\ninstance=%x.%x.%x.%x\n"
        "size=%u\netrn_domain=\nstress=\nsasl_method=%s\nsasl_username=%s\nsasl_sender=\nccert_subject=\n"
        "ccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=%s\n"
        "encryption_cipher=%s\nencryption_keysize=%s\npolicy_context=\n\n",
        q->end ? "END-OF-MESSAGE" : "RCPT", q->local ? "127.0.0.1" : "198.51.100.17", host, 20000 + q->connection,
        host, q->local ? "127.0.0.1" : "192.0.2.25", q->local ? "25" : "587", q->user, q->domain, recipient,
        q->end ? q->accepted : 0, queue_id, q->process, q->started, q->message, 0u, q->end ? 2048u : 4096u,
        q->local ? "" : "PLAIN", login, q->local ? "" : "TLSv1.3", q->local ? "" : "TLS_AES_256_GCM_SHA384",
        q->local ? "0" : "256");
}

#endif
