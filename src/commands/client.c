#include "commands/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <curl/curl.h>

#include "base/utf8.h"
#include "commands/json_tree.h"

enum { CONNECT_TIMEOUT_S = 10, STALLED_S = 300, URL_MAX = 64 * 1024, TREE_MAX = 8 << 20 };

struct client {
    CURL *curl;
    char *url;   /* without a slash at the end */
    char *shown; /* the same without user and password, for messages */
    struct interrupt *interrupt;
    char reason[CURL_ERROR_SIZE];

    /* Of the request under way. */
    const struct client_request *request;
    struct client_answer *answer;
    enum status status; /* why we ended it */
    struct error *err;
    bool has_end; /* the answer says how long it is, or comes in chunks */
    bool foreign; /* its Content-Type is not the one that ours would have */
    long http_status;
};

/* ---- what curl calls -------------------------------------------------------------------- */

static bool header_is(struct slice line, const char *name, struct slice *value)
{
    size_t size = strlen(name);
    if (line.size <= size || line.data[size] != ':' ||
        strncasecmp((const char *)line.data, name, size) != 0)
        return false;
    *value = slice_from(line, size + 1);
    while (value->size > 0 && (value->data[0] == ' ' || value->data[0] == '\t'))
        *value = slice_from(*value, 1);
    while (value->size > 0 && value->data[value->size - 1] <= ' ')
        value->size--;
    return true;
}

/* -1 where it is no number; of at most 18 digits. */
static int64_t number_of(struct slice text)
{
    int64_t number = 0;
    for (size_t i = 0; i < text.size && number >= 0; i++)
        number =
            text.data[i] >= '0' && text.data[i] <= '9' ? number * 10 + (text.data[i] - '0') : -1;
    return number;
}

static uint64_t count_of(struct slice text)
{
    int64_t number = text.size > 18 ? -1 : number_of(text);
    return number < 0 ? 0 : (uint64_t)number;
}

/* `type` NULL: any. */
static bool type_is(struct slice value, const char *type)
{
    size_t size = type == NULL ? 0 : strlen(type);
    return size == 0 || (value.size >= size && memcmp(value.data, type, size) == 0 &&
                         (value.size == size || value.data[size] == ';'));
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct client *client = context;
    struct slice line = slice_of(data, size * count);
    struct slice value;
    if (line.size > 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        /* HTTP/2 and later frame every answer. */
        client->has_end = line.data[5] >= '2';
        client->foreign = client->request->answer_type != NULL;
        client->answer->retry_after_s = -1;
    } else if (header_is(line, "Content-Length", &value) ||
               header_is(line, "Transfer-Encoding", &value)) {
        client->has_end = true;
    } else if (header_is(line, "Content-Type", &value)) {
        client->foreign = !type_is(value, client->request->answer_type);
    } else if (header_is(line, "Retry-After", &value)) {
        if (value.size > 0 && value.size < 10)
            client->answer->retry_after_s = number_of(value);
    } else if (header_is(line, "X-Samples-Left-Out", &value)) {
        client->answer->samples_left_out = count_of(value);
    } else if (header_is(line, "X-NaN-Payloads-Lost", &value)) {
        client->answer->payloads_lost = count_of(value);
    }
    return line.size;
}

static enum status refuse_foreign(const struct client *client, long http_status, struct error *err)
{
    return fail(err, STATUS_IO,
                "%s answered %ld, but nothing that a metric-store server would; is it one?",
                client->shown, http_status);
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct client *client = context;
    struct slice piece = slice_of(data, size * count);
    long http_status = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &http_status);
    bool good = http_status >= 200 && http_status < 300;
    if (good && client->foreign) {
        client->status = refuse_foreign(client, http_status, client->err);
    } else if (client->request->receive != NULL && good) {
        client->status = client->request->receive(client->request->context, piece, client->err);
    } else if (bytes_append(&client->answer->body, piece.data, piece.size) != STATUS_OK) {
        client->status = fail(client->err, STATUS_LIMIT,
                              "the answer of %s is larger than %zu bytes; ask for less, or use "
                              "--json",
                              client->shown, client->answer->body.max);
    }
    return client->status == STATUS_OK ? piece.size : 0;
}

static int note_progress(void *context, curl_off_t to_get, curl_off_t got, curl_off_t to_put,
                         curl_off_t put)
{
    (void)to_get, (void)got, (void)to_put, (void)put;
    struct client *client = context;
    return interrupt_pending(client->interrupt);
}

/* ---- opening ---------------------------------------------------------------------------- */

/* What cannot be taken apart may hold a password all the same: only what is behind it is shown. */
static enum status refuse_url(const char *text, struct error *err)
{
    const char *at = strrchr(text, '@');
    return fail(err, STATUS_INVALID, "\"%s%s\" is no URL of a server; give it as http://HOST:PORT",
                at == NULL ? "" : "...", at == NULL ? text : at);
}

/* Gives *shown, which the caller frees. */
static enum status check_url(const char *text, char **shown, struct error *err)
{
    CURLU *url = curl_url();
    if (url == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a URL");
    char *scheme = NULL;
    char *safe = NULL;
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    bool good = code == CURLUE_OK && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (good && (curl_url_set(url, CURLUPART_USER, NULL, 0) != CURLUE_OK ||
                 curl_url_set(url, CURLUPART_PASSWORD, NULL, 0) != CURLUE_OK ||
                 curl_url_get(url, CURLUPART_URL, &safe, 0) != CURLUE_OK))
        good = false;
    *shown = good ? strdup(safe) : NULL;
    curl_free(safe);
    curl_free(scheme);
    curl_url_cleanup(url);
    if (!good)
        return refuse_url(text, err);
    return *shown != NULL ? STATUS_OK : fail(err, STATUS_MEMORY, "no memory for a URL");
}

static void cut_slashes(char *url)
{
    for (size_t size = strlen(url); size > 0 && url[size - 1] == '/'; size--)
        url[size - 1] = 0;
}

static void set_options(struct client *client)
{
    CURL *curl = client->curl;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->reason);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "metric-store/" METRIC_STORE_VERSION);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, client);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, note_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
}

enum status client_open(struct client **result, const char *url, struct interrupt *interrupt,
                        struct error *err)
{
    *result = NULL;
    char *shown = NULL;
    enum status status = check_url(url, &shown, err);
    if (status != STATUS_OK)
        return status;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(shown);
        free(client);
        return fail(err, STATUS_MEMORY, "no memory for a connection");
    }
    client->shown = shown;
    client->url = strdup(url);
    client->curl = curl_easy_init();
    if (client->url == NULL || client->curl == NULL) {
        client_close(client);
        return fail(err, STATUS_MEMORY, "no memory for a connection");
    }
    cut_slashes(client->url);
    cut_slashes(client->shown);
    client->interrupt = interrupt;
    set_options(client);
    *result = client;
    return STATUS_OK;
}

void client_close(struct client *client)
{
    if (client == NULL)
        return;
    if (client->curl != NULL)
        curl_easy_cleanup(client->curl);
    curl_global_cleanup();
    free(client->url);
    free(client->shown);
    free(client);
}

const char *client_url(const struct client *client)
{
    return client->shown;
}

/* ---- a request -------------------------------------------------------------------------- */

static enum status build_url(struct client *client, const struct client_request *request,
                             struct bytes *url, struct error *err)
{
    enum status status = bytes_format(url, "%s%s", client->url, request->path);
    for (size_t i = 0; i < request->parameter_count && status == STATUS_OK; i++) {
        const struct client_parameter *parameter = &request->parameters[i];
        char *name = curl_easy_escape(client->curl, parameter->name, 0);
        char *value = curl_easy_escape(client->curl, parameter->value, 0);
        status = name == NULL || value == NULL
                     ? STATUS_MEMORY
                     : bytes_format(url, "%c%s=%s", i == 0 ? '?' : '&', name,
                                    parameter->value[0] == 0 ? "" : value);
        curl_free(name);
        curl_free(value);
    }
    if (status == STATUS_OK)
        status = bytes_append(url, "", 1);
    return status == STATUS_OK ? status : fail(err, status, "the request's URL is too long");
}

static enum status explain(struct client *client, CURLcode code, struct error *err)
{
    if (client->status != STATUS_OK)
        return client->status;
    const char *reason = client->reason[0] != 0 ? client->reason : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OK:
        if (client->has_end)
            return STATUS_OK;
        return fail(err, STATUS_IO,
                    "%s: the answer does not say where it ends, so nobody knows "
                    "whether it is whole",
                    client->shown);
    case CURLE_ABORTED_BY_CALLBACK:
        return interrupt_fail(err);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return fail(err, STATUS_IO,
                    "cannot reach a server at %s (%s); start one with `metric-store serve`, or "
                    "name a store that none has open with --data",
                    client->shown, reason);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_BAD_CONTENT_ENCODING:
        return fail(err, STATUS_IO, "%s: the answer is cut off: %s", client->shown, reason);
    case CURLE_OUT_OF_MEMORY:
        return fail(err, STATUS_MEMORY, "%s: no memory for the request", client->shown);
    default:
        return fail(err, STATUS_IO, "%s: %s", client->shown, reason);
    }
}

static struct curl_slist *headers_of(const struct client_request *request)
{
    char line[160];
    /* No "Expect: 100-continue", which would cost a round trip. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    if (headers == NULL || request->content_type == NULL)
        return headers;
    snprintf(line, sizeof line, "Content-Type: %s", request->content_type);
    struct curl_slist *all = curl_slist_append(headers, line);
    if (all == NULL)
        curl_slist_free_all(headers);
    return all;
}

enum status client_send(struct client *client, const struct client_request *request,
                        struct client_answer *answer, struct error *err)
{
    struct bytes url;
    bytes_init(&url, URL_MAX);
    bytes_clear(&answer->body);
    answer->status = 0;
    answer->retry_after_s = -1;
    answer->samples_left_out = answer->payloads_lost = 0;
    client->request = request;
    client->answer = answer;
    client->status = STATUS_OK;
    client->err = err;
    client->has_end = client->foreign = false;
    client->reason[0] = 0;
    enum status status = build_url(client, request, &url, err);
    struct curl_slist *headers = headers_of(request);
    if (status == STATUS_OK && headers == NULL)
        status = fail(err, STATUS_MEMORY, "no memory for a request");
    if (status == STATUS_OK) {
        CURL *curl = client->curl;
        curl_easy_setopt(curl, CURLOPT_URL, (const char *)url.data);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, request->compressed ? "" : NULL);
        if (request->content_type != NULL) {
            curl_easy_setopt(curl, CURLOPT_POST, 1L);
            curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.data);
        } else {
            curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
        }
        status = explain(client, curl_easy_perform(curl), err);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, (struct curl_slist *)NULL);
        long http_status = 0;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http_status);
        answer->status = (int)http_status;
        /* An answer without a body. */
        if (status == STATUS_OK && http_status < 300 && client->foreign)
            status = refuse_foreign(client, http_status, err);
    }
    curl_slist_free_all(headers);
    bytes_release(&url);
    return status;
}

static enum status status_of(int http)
{
    switch (http) {
    case 404:
        return STATUS_NOT_FOUND;
    case 409:
        return STATUS_CONFLICT;
    case 413:
    case 422:
        return STATUS_LIMIT;
    case 429:
    case 503:
    case 507:
        return STATUS_BUSY;
    default:
        return http >= 500 ? STATUS_IO : STATUS_INVALID;
    }
}

enum status client_fail(const struct client *client, const struct client_answer *answer,
                        struct error *err)
{
    struct arena arena;
    arena_init(&arena, TREE_MAX);
    struct json_node *root = NULL;
    struct slice detail = slice_of(NULL, 0);
    if (json_tree_parse(bytes_slice(&answer->body), &arena, &root, NULL) == STATUS_OK)
        detail = json_member_text(root, "detail");
    if (detail.size == 0 && root != NULL)
        detail = json_member_text(root, "title");
    detail.size = utf8_prefix(detail, ERROR_MESSAGE_SIZE / 2);
    enum status status = status_of(answer->status);
    if (detail.size > 0)
        fail(err, status, "%s answered %d: %.*s", client->shown, answer->status, (int)detail.size,
             (const char *)detail.data);
    else
        fail(err, status, "%s answered %d without a reason; is it a metric-store server?",
             client->shown, answer->status);
    arena_release(&arena);
    return status;
}

void client_default_url(const struct config *config, char url[CLIENT_URL_SIZE])
{
    const char *listen = config->server.listen;
    const char *colon = strrchr(listen, ':');
    size_t host = colon == NULL ? strlen(listen) : (size_t)(colon - listen);
    struct slice name = slice_of(listen, host);
    /* Every address of this machine: its own is one of them. */
    if (host == 0 || slice_equal_text(name, "0.0.0.0"))
        snprintf(url, CLIENT_URL_SIZE, "http://127.0.0.1%s", colon == NULL ? "" : colon);
    else if (slice_equal_text(name, "[::]"))
        snprintf(url, CLIENT_URL_SIZE, "http://[::1]%s", colon);
    else
        snprintf(url, CLIENT_URL_SIZE, "http://%s", listen);
}
