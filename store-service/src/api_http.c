#include "api_http.h"

#include "base/loop.h"
#include "openapi.h"

#include <openssl/crypto.h>
#include <stdlib.h>

struct api_http {
    struct api *api;
    struct bytes key;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t answers;
};

/* A call whose request waits for it; or is gone, when req is NULL. */
struct waiting {
    struct api_call call;
    h2o_multithread_message_t message;
    struct api_http *http;
    h2o_req_t *req;
    bool is_answered; /* the call came back: until then it is the API's thread's */
};

/* --- answers ------------------------------------------------------------------------------------------------------ */

static const char *reason_of(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    default: return "Service Unavailable";
    }
}

static void respond(h2o_req_t *req, int status, struct bytes json)
{
    req->res.status = status;
    req->res.reason = reason_of(status);
    req->res.content_length = json.len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/json"));
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-store"));
    h2o_send_inline(req, json.data, json.len); /* copies */
}

static void respond_error(h2o_req_t *req, int status, const char *code, const char *message)
{
    struct api_call call = {0};
    api_call_fail(&call, status, code, message);
    respond(req, status, buf_bytes(&call.answer));
    api_call_release(&call);
}

/* In the API's thread. */
static void on_done(struct api_call *call)
{
    struct waiting *waiting = CONTAINER_OF(call, struct waiting, call);
    h2o_multithread_send_message(&waiting->http->answers, &waiting->message);
}

static void waiting_free(struct waiting *waiting)
{
    api_call_release(&waiting->call);
    free(waiting);
}

static void settle(struct waiting *waiting)
{
    if (waiting->req != NULL) {
        waiting->is_answered = true;
        respond(waiting->req, waiting->call.status, buf_bytes(&waiting->call.answer));
    } else {
        waiting_free(waiting);
    }
}

static void on_answers(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    while (!h2o_linklist_is_empty(messages)) {
        h2o_linklist_t *link = messages->next;
        ASSERT(link->next != NULL); /* which clang's analyzer does not see */
        h2o_linklist_unlink(link);
        settle(CONTAINER_OF(link, struct waiting, message.link));
    }
}

/* The request's memory goes: with its answer, or before, when the client has left. */
static void on_request_gone(void *memory)
{
    struct waiting *waiting = *(struct waiting **)memory;
    if (waiting->is_answered) {
        waiting_free(waiting);
    } else {
        waiting->req = NULL;
    }
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static bool has_key(const struct api_http *http, const h2o_req_t *req)
{
    static const struct bytes SCHEME = {"Bearer ", 7};
    ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, SIZE_MAX);
    if (at == -1) {
        return false;
    }
    struct bytes value =
        bytes_of(req->headers.entries[at].value.base, req->headers.entries[at].value.len);
    return bytes_start_with(value, SCHEME) && value.len - SCHEME.len == http->key.len &&
           CRYPTO_memcmp(value.data + SCHEME.len, http->key.data, http->key.len) == 0;
}

/* Cuts off and returns what stands in front of @separator, or all of it. */
static struct bytes take_until(struct bytes *text, char separator)
{
    const char *at = text->len == 0 ? NULL : memchr(text->data, separator, text->len);
    struct bytes taken = at == NULL ? *text : bytes_of(text->data, (size_t)(at - text->data));
    *text = bytes_skip(*text, at == NULL ? text->len : taken.len + 1);
    return taken;
}

/* Takes what the query says; false: it says something that is not known. */
static bool read_query(const h2o_req_t *req, struct api_call *call)
{
    struct bytes query = {0};
    if (req->query_at != SIZE_MAX) {
        query = bytes_of(req->path.base + req->query_at + 1, req->path.len - req->query_at - 1);
    }
    while (query.len > 0) {
        struct bytes value = take_until(&query, '&');
        struct bytes name = take_until(&value, '=');
        struct buf *to = bytes_equal(name, BYTES("after"))    ? &call->after
                         : bytes_equal(name, BYTES("before")) ? &call->before
                         : bytes_equal(name, BYTES("limit"))  ? &call->limit
                                                              : NULL;
        if (to == NULL) {
            return false;
        }
        buf_clear(to);
        buf_append_bytes(to, value);
    }
    return true;
}

/* Paths behind /api/v1/: a "*" stands for a room. */
static const struct route {
    const char *method, *path, *call;
} ROUTES[] = {
    {"GET", "rooms", "rooms"},
    {"PATCH", "rooms/*", "change"},
    {"GET", "rooms/*/messages", "messages"},
    {"POST", "rooms/*/messages", "say"},
    {"POST", "kicks", "kick"},
    {"POST", "revocations", "revoke"},
};

static bool path_fits(const char *pattern, struct bytes path, struct bytes *ret_room)
{
    struct bytes rest = bytes_of_string(pattern);
    *ret_room = (struct bytes){0};
    if (path.len > 0 && path.data[path.len - 1] == '/') {
        return false;
    }
    while (rest.len > 0 && path.len > 0) {
        struct bytes expected = take_until(&rest, '/'), part = take_until(&path, '/');
        if (bytes_equal(expected, BYTES("*"))) {
            *ret_room = part;
        } else if (!bytes_equal(expected, part)) {
            return false;
        }
    }
    return rest.len == 0 && path.len == 0;
}

static void submit(struct api_http *http, h2o_req_t *req, const char *name, struct bytes room)
{
    struct waiting *waiting = mem_alloc_zeroed(sizeof(*waiting));
    waiting->call.name = name;
    waiting->call.on_done = on_done;
    waiting->http = http;
    waiting->req = req;
    buf_append_bytes(&waiting->call.room, room);
    buf_append_bytes(&waiting->call.body, bytes_of(req->entity.base, req->entity.len));
    if (!read_query(req, &waiting->call)) {
        waiting_free(waiting);
        respond_error(req, 400, "invalid", "the query may have after, before and limit");
        return;
    }
    struct waiting **memory =
        h2o_mem_alloc_shared(&req->pool, sizeof(struct waiting *), on_request_gone);
    *memory = waiting;
    api_submit(http->api, &waiting->call);
}

static void route(struct api_http *http, h2o_req_t *req, struct bytes method, struct bytes path)
{
    bool is_there = false;
    for (size_t i = 0; i < COUNT_OF(ROUTES); i++) {
        struct bytes room;
        if (!path_fits(ROUTES[i].path, path, &room)) {
            continue;
        }
        is_there = true;
        if (bytes_equal(method, bytes_of_string(ROUTES[i].method))) {
            submit(http, req, ROUTES[i].call, room);
            return;
        }
    }
    if (is_there) {
        respond_error(req, 405, "not_allowed", "that is not done with this path: see openapi.json");
    } else {
        respond_error(req, 404, "not_found", "there is no such path: see openapi.json");
    }
}

void api_http_serve(struct api_http *http, h2o_req_t *req)
{
    static const struct bytes BASE = {"/api/v1/", 8};
    struct bytes path = bytes_of(req->path_normalized.base, req->path_normalized.len);
    struct bytes method = bytes_of(req->method.base, req->method.len);
    if (!bytes_start_with(path, BASE)) {
        respond_error(req, 404, "not_found", "the API is below /api/v1/");
    } else if (bytes_equal(path, BYTES("/api/v1/openapi.json"))) {
        respond(req, 200, bytes_of((const char *)openapi_json, openapi_json_len));
    } else if (http->api == NULL) {
        respond_error(req, 404, "not_found", "there is no API here: API_KEY is not set");
    } else if (!has_key(http, req)) {
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_WWW_AUTHENTICATE, NULL,
                       H2O_STRLIT("Bearer"));
        respond_error(req, 401, "unauthorized", "needs Authorization: Bearer, and the API_KEY");
    } else {
        route(http, req, method, bytes_skip(path, BASE.len));
    }
}

struct api_http *api_http_new(h2o_loop_t *loop, struct api *api, const char *key)
{
    struct api_http *http = mem_alloc_zeroed(sizeof(*http));
    http->api = api;
    http->key = bytes_of_string(key);
    http->queue = h2o_multithread_create_queue(loop);
    h2o_multithread_register_receiver(http->queue, &http->answers, on_answers);
    return http;
}

/* What came when no request waited any more. */
static void drop_answers(struct api_http *http)
{
    h2o_linklist_t *answers = &http->answers._messages;
    while (!h2o_linklist_is_empty(answers)) {
        struct waiting *waiting = CONTAINER_OF(answers->next, struct waiting, message.link);
        h2o_linklist_unlink(&waiting->message.link);
        waiting_free(waiting);
    }
}

void api_http_free(struct api_http *http)
{
    if (http != NULL) {
        drop_answers(http);
        h2o_multithread_unregister_receiver(http->queue, &http->answers);
        loop_queue_free(http->queue);
        free(http);
    }
}
