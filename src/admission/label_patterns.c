#include "admission/label_patterns.h"

#include <stdlib.h>

#include "model/name_pattern.h"

struct label_patterns {
    struct name_patterns names;
    enum label_action actions[LABEL_PATTERNS_MAX]; /* one a name */
};

/* ---- words ----------------------------------------------------------------------------------- */

static bool is_lower(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_upper(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z';
}

/* Bytes beyond ASCII belong to words. */
static bool is_word(uint8_t byte)
{
    return is_lower(byte) || is_upper(byte) || (byte >= '0' && byte <= '9') || byte >= 0x80;
}

/* Whether a word begins at `at`, which is in one: userId, HTTPRequest. */
static bool begins_word(struct slice name, size_t at)
{
    if (at == 0 || !is_word(name.data[at - 1]))
        return true;
    if (!is_upper(name.data[at]))
        return false;
    return !is_upper(name.data[at - 1]) || (at + 1 < name.size && is_lower(name.data[at + 1]));
}

struct slice label_words(struct slice name, uint8_t to[LABEL_WORDS_MAX_SIZE])
{
    size_t size = 0;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        if (!is_word(byte))
            continue;
        bool parts = size > 0 && begins_word(name, i);
        if (size + parts + 1 > LABEL_WORDS_MAX_SIZE)
            return slice_of(to, 0);
        if (parts)
            to[size++] = '_';
        to[size++] = is_upper(byte) ? (uint8_t)(byte | 0x20) : byte;
    }
    return slice_of(to, size);
}

/* ---- what we know ---------------------------------------------------------------------------- */

struct known {
    const char *words; /* the same without `_` is known too */
    enum label_telling telling;
};

/* Last words of names. They are looked up once for each label that has many values, so one after
 * the other. */
static const struct known known[] = {
    /* Bounds, targets, and what names machines, their parts, and what a cluster runs on them: as
     * many as there are of these, however they look. What the last ones cost, the limits tell. */
    {"le", LABEL_TELLS_NOTHING},
    {"quantile", LABEL_TELLS_NOTHING},
    {"vmrange", LABEL_TELLS_NOTHING},
    {"instance", LABEL_TELLS_NOTHING},
    {"job", LABEL_TELLS_NOTHING},
    {"machine_id", LABEL_TELLS_NOTHING},
    {"boot_id", LABEL_TELLS_NOTHING},
    {"system_uuid", LABEL_TELLS_NOTHING},
    {"product_uuid", LABEL_TELLS_NOTHING},
    {"serial", LABEL_TELLS_NOTHING},
    {"serial_number", LABEL_TELLS_NOTHING},
    {"wwn", LABEL_TELLS_NOTHING},
    {"pod_ip", LABEL_TELLS_NOTHING},
    {"host_ip", LABEL_TELLS_NOTHING},
    {"node_ip", LABEL_TELLS_NOTHING},
    {"internal_ip", LABEL_TELLS_NOTHING},
    {"cluster_ip", LABEL_TELLS_NOTHING},
    {"pod_uid", LABEL_TELLS_NOTHING},
    {"container_id", LABEL_TELLS_NOTHING},
    {"image_id", LABEL_TELLS_NOTHING},
    /* Persons and customers. */
    {"user_id", LABEL_TELLS_IDENTITY},
    {"user_uuid", LABEL_TELLS_IDENTITY},
    {"user_email", LABEL_TELLS_IDENTITY},
    {"email", LABEL_TELLS_IDENTITY},
    {"e_mail", LABEL_TELLS_IDENTITY},
    {"email_address", LABEL_TELLS_IDENTITY},
    {"phone", LABEL_TELLS_IDENTITY},
    {"phone_number", LABEL_TELLS_IDENTITY},
    {"msisdn", LABEL_TELLS_IDENTITY},
    {"customer_id", LABEL_TELLS_IDENTITY},
    {"client_id", LABEL_TELLS_OPEN}, /* of OAuth: some dozens; of Kafka: any number */
    {"member_id", LABEL_TELLS_IDENTITY},
    {"visitor_id", LABEL_TELLS_IDENTITY},
    {"subscriber_id", LABEL_TELLS_IDENTITY},
    {"player_id", LABEL_TELLS_IDENTITY},
    {"patient_id", LABEL_TELLS_IDENTITY},
    {"person_id", LABEL_TELLS_IDENTITY},
    {"contact_id", LABEL_TELLS_IDENTITY},
    {"profile_id", LABEL_TELLS_IDENTITY},
    {"account_id", LABEL_TELLS_IDENTITY},
    {"subscription_id", LABEL_TELLS_IDENTITY},
    {"tenant_id", LABEL_TELLS_OPEN},
    {"organization_id", LABEL_TELLS_OPEN},
    {"org_id", LABEL_TELLS_OPEN},
    {"user", LABEL_TELLS_OPEN},
    {"user_name", LABEL_TELLS_OPEN},
    {"login", LABEL_TELLS_OPEN},
    {"customer", LABEL_TELLS_OPEN},
    /* Where they come from. */
    {"client_ip", LABEL_TELLS_IDENTITY},
    {"remote_ip", LABEL_TELLS_IDENTITY},
    {"user_ip", LABEL_TELLS_IDENTITY},
    {"source_ip", LABEL_TELLS_IDENTITY},
    {"src_ip", LABEL_TELLS_IDENTITY},
    {"real_ip", LABEL_TELLS_IDENTITY},
    {"forwarded_for", LABEL_TELLS_IDENTITY},
    {"remote_addr", LABEL_TELLS_IDENTITY},
    {"client_addr", LABEL_TELLS_IDENTITY},
    {"client_address", LABEL_TELLS_IDENTITY},
    {"remote_address", LABEL_TELLS_OPEN}, /* backends of a balancer too */
    {"ip", LABEL_TELLS_OPEN},
    {"ip_address", LABEL_TELLS_OPEN},
    {"ip_addr", LABEL_TELLS_OPEN},
    {"user_agent", LABEL_TELLS_OPEN},
    {"referer", LABEL_TELLS_OPEN},
    {"referrer", LABEL_TELLS_OPEN},
    {"device_token", LABEL_TELLS_IDENTITY},
    {"imei", LABEL_TELLS_IDENTITY},
    {"imsi", LABEL_TELLS_IDENTITY},
    /* What is done for them, once. */
    {"session", LABEL_TELLS_OPEN},
    {"session_id", LABEL_TELLS_IDENTITY},
    {"session_key", LABEL_TELLS_IDENTITY},
    {"request_id", LABEL_TELLS_IDENTITY},
    {"req_id", LABEL_TELLS_IDENTITY},
    {"trace_id", LABEL_TELLS_IDENTITY},
    {"span_id", LABEL_TELLS_IDENTITY},
    {"parent_id", LABEL_TELLS_OPEN},
    {"trace_parent", LABEL_TELLS_IDENTITY},
    {"correlation_id", LABEL_TELLS_IDENTITY},
    {"transaction_id", LABEL_TELLS_IDENTITY},
    {"txn_id", LABEL_TELLS_IDENTITY},
    {"tx_id", LABEL_TELLS_IDENTITY},
    {"tx_hash", LABEL_TELLS_IDENTITY},
    {"message_id", LABEL_TELLS_IDENTITY},
    {"msg_id", LABEL_TELLS_IDENTITY},
    {"call_id", LABEL_TELLS_IDENTITY},
    {"invocation_id", LABEL_TELLS_IDENTITY},
    {"execution_id", LABEL_TELLS_IDENTITY},
    {"run_id", LABEL_TELLS_IDENTITY},
    {"build_id", LABEL_TELLS_IDENTITY},
    {"build_number", LABEL_TELLS_OPEN},
    {"task_id", LABEL_TELLS_OPEN},
    {"job_id", LABEL_TELLS_OPEN},
    {"event_id", LABEL_TELLS_OPEN}, /* of Windows: kinds of events */
    {"connection_id", LABEL_TELLS_IDENTITY},
    {"conn_id", LABEL_TELLS_IDENTITY},
    {"socket_id", LABEL_TELLS_OPEN}, /* a processor's too */
    {"order_id", LABEL_TELLS_IDENTITY},
    {"order_number", LABEL_TELLS_IDENTITY},
    {"invoice_id", LABEL_TELLS_IDENTITY},
    {"payment_id", LABEL_TELLS_IDENTITY},
    {"cart_id", LABEL_TELLS_IDENTITY},
    {"basket_id", LABEL_TELLS_IDENTITY},
    {"checkout_id", LABEL_TELLS_IDENTITY},
    {"booking_id", LABEL_TELLS_IDENTITY},
    {"ticket_id", LABEL_TELLS_IDENTITY},
    {"shipment_id", LABEL_TELLS_IDENTITY},
    {"tracking_number", LABEL_TELLS_IDENTITY},
    {"document_id", LABEL_TELLS_IDENTITY},
    {"upload_id", LABEL_TELLS_IDENTITY},
    {"product_id", LABEL_TELLS_OPEN},
    {"item_id", LABEL_TELLS_OPEN},
    {"object_id", LABEL_TELLS_OPEN},
    {"query_id", LABEL_TELLS_OPEN},
    {"pid", LABEL_TELLS_OPEN},
    {"process_id", LABEL_TELLS_OPEN},
    /* Ids and secrets of any kind. */
    {"uuid", LABEL_TELLS_OPEN}, /* of disks too */
    {"guid", LABEL_TELLS_OPEN},
    {"token", LABEL_TELLS_IDENTITY},
    {"jwt", LABEL_TELLS_IDENTITY},
    {"nonce", LABEL_TELLS_IDENTITY},
    {"cookie", LABEL_TELLS_IDENTITY},
    {"api_key", LABEL_TELLS_OPEN},
    {"idempotency_key", LABEL_TELLS_IDENTITY},
    {"cache_key", LABEL_TELLS_IDENTITY},
    {"signature", LABEL_TELLS_OPEN},
    {"hash", LABEL_TELLS_OPEN},
    {"etag", LABEL_TELLS_IDENTITY},
    /* Times. */
    {"timestamp", LABEL_TELLS_IDENTITY},
    {"time_stamp", LABEL_TELLS_IDENTITY},
    {"created_at", LABEL_TELLS_IDENTITY},
    {"updated_at", LABEL_TELLS_IDENTITY},
    {"start_time", LABEL_TELLS_IDENTITY},
    {"end_time", LABEL_TELLS_IDENTITY},
    {"datetime", LABEL_TELLS_IDENTITY},
    /* What was asked for, and free text. */
    {"path", LABEL_TELLS_OPEN},
    {"url", LABEL_TELLS_OPEN},
    {"uri", LABEL_TELLS_OPEN},
    {"href", LABEL_TELLS_OPEN},
    {"endpoint", LABEL_TELLS_OPEN},
    {"route", LABEL_TELLS_OPEN},
    {"handler", LABEL_TELLS_OPEN},
    {"resource", LABEL_TELLS_OPEN},
    {"target", LABEL_TELLS_OPEN},
    {"query", LABEL_TELLS_OPEN},
    {"query_string", LABEL_TELLS_IDENTITY},
    {"search_term", LABEL_TELLS_IDENTITY},
    {"sql", LABEL_TELLS_OPEN},
    {"statement", LABEL_TELLS_OPEN},
    {"message", LABEL_TELLS_OPEN},
    {"error_message", LABEL_TELLS_OPEN},
    {"exception", LABEL_TELLS_OPEN},
    {"stack_trace", LABEL_TELLS_IDENTITY},
};
enum { KNOWN = sizeof known / sizeof known[0] };

/* Whether they are the same, but for each `_` that `text` may lack. */
static bool words_match(const char *words, struct slice text)
{
    size_t at = 0;
    for (; *words != 0; words++) {
        if (at < text.size && text.data[at] == (uint8_t)*words)
            at++;
        else if (*words != '_')
            return false;
    }
    return at == text.size;
}

/* The one with the most words: `client_ip` before `ip`. */
static const struct known *find_known(struct slice words)
{
    for (size_t begin = 0; begin < words.size; begin++) {
        if (begin > 0 && words.data[begin - 1] != '_')
            continue;
        struct slice last = slice_from(words, begin);
        for (size_t i = 0; i < KNOWN; i++)
            if (words_match(known[i].words, last))
                return &known[i];
    }
    return NULL;
}

/* ---- the operator's list --------------------------------------------------------------------- */

enum status label_patterns_new(struct label_patterns **result, const struct label_pattern *items,
                               size_t count, struct error *err)
{
    *result = NULL;
    struct label_patterns *patterns = calloc(1, sizeof *patterns);
    if (patterns == NULL)
        return fail(err, STATUS_MEMORY, "no memory for patterns of labels");
    const char *texts[LABEL_PATTERNS_MAX] = {0};
    for (size_t i = 0; i < count && i < LABEL_PATTERNS_MAX; i++) {
        texts[i] = items[i].match;
        patterns->actions[i] = items[i].action;
    }
    enum status status = name_patterns_init(&patterns->names, texts, count, "label pattern", err);
    if (status == STATUS_OK)
        *result = patterns;
    else
        label_patterns_free(patterns);
    return status;
}

void label_patterns_free(struct label_patterns *patterns)
{
    if (patterns == NULL)
        return;
    name_patterns_release(&patterns->names);
    free(patterns);
}

struct label_verdict label_patterns_find(const struct label_patterns *patterns, struct slice name)
{
    uint8_t buffer[LABEL_WORDS_MAX_SIZE];
    struct slice words = label_words(name, buffer);
    for (size_t i = 0; patterns != NULL && i < patterns->names.count; i++) {
        const struct name_pattern *pattern = &patterns->names.items[i];
        if (!name_pattern_matches(pattern, name) &&
            (words.size == 0 || !name_pattern_matches(pattern, words)))
            continue;
        bool off = patterns->actions[i] == LABEL_ACTION_OFF;
        return (struct label_verdict){.telling = off ? LABEL_TELLS_NOTHING : LABEL_TELLS_IDENTITY,
                                      .action = patterns->actions[i],
                                      .pattern = patterns->names.texts[i]};
    }
    const struct known *found = find_known(words);
    if (found == NULL)
        return (struct label_verdict){.telling = LABEL_TELLS_NOTHING, .action = LABEL_ACTION_WARN};
    return (struct label_verdict){
        .telling = found->telling,
        .action = found->telling == LABEL_TELLS_NOTHING ? LABEL_ACTION_OFF : LABEL_ACTION_WARN,
        .pattern = found->words};
}
