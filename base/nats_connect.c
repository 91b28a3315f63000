#include "nats_connect.h"

#include "log.h"
#include <stdlib.h>

enum {
    SERVERS_MAX = 16,
    CONNECT_TIMEOUT_MS = 2000,
    WRITE_DEADLINE_MS = 5000, /* a server that reads nothing: nats.c then connects anew */
    PING_INTERVAL_MS = 2000,  /* a silent server is given up after PINGS_OUT_MAX of these */
    PINGS_OUT_MAX = 2,
    RECONNECT_WAIT_MS = NATS_RETRY_MS, /* and up to as much again, at random */
    RECONNECT_BUFFER_BYTES = 64 * 1024,
};

/* Whether @text is a host, "[v6]" or a name, with an optional port behind it. */
static bool is_host_and_port(struct bytes text)
{
    const char *colon = text.len == 0 ? NULL : memrchr(text.data, ':', text.len);
    const char *bracket = text.len == 0 ? NULL : memrchr(text.data, ']', text.len);
    size_t host_len = text.len;
    if (colon != NULL && (bracket == NULL || colon > bracket)) {
        uint64_t port;
        host_len = (size_t)(colon - text.data);
        if (!bytes_to_u64(bytes_skip(text, host_len + 1), &port) || port == 0 || port > 65535) {
            return false;
        }
    }
    return host_len > 0;
}

static bool is_server_url(const char *url)
{
    struct bytes text = bytes_of_string(url);
    const char *scheme_end = strstr(url, "://");
    if (scheme_end != NULL) {
        if (!bytes_start_with(text, BYTES("nats://")) && !bytes_start_with(text, BYTES("tls://"))) {
            return false;
        }
        text = bytes_skip(text, (size_t)(scheme_end + 3 - url));
    }
    const char *credentials_end = text.len == 0 ? NULL : memrchr(text.data, '@', text.len);
    if (credentials_end != NULL) {
        text = bytes_skip(text, (size_t)(credentials_end + 1 - text.data));
    }
    return is_host_and_port(text);
}

/* Cuts @urls at commas and blanks, in place. Returns how many there are, 0 when one of them is no URL. */
static int split(char *urls, const char *servers[SERVERS_MAX])
{
    int count = 0;
    for (char *url; (url = strsep(&urls, ", ")) != NULL;) {
        if (*url == '\0') {
            continue;
        }
        if (count == SERVERS_MAX || !is_server_url(url)) {
            return 0;
        }
        servers[count++] = url;
    }
    return count;
}

static natsStatus set_options(natsOptions *options, const char **servers, int server_count,
                              const char *name)
{
    natsStatus status = natsOptions_SetServers(options, servers, server_count);
#define SET(call) status = status == NATS_OK ? (call) : status
    SET(natsOptions_SetName(options, name));
    SET(natsOptions_SetTimeout(options, CONNECT_TIMEOUT_MS));
    SET(natsOptions_SetWriteDeadline(options, WRITE_DEADLINE_MS));
    SET(natsOptions_SetMaxReconnect(options, -1));
    SET(natsOptions_SetReconnectWait(options, RECONNECT_WAIT_MS));
    SET(natsOptions_SetReconnectJitter(options, RECONNECT_WAIT_MS, RECONNECT_WAIT_MS));
    SET(natsOptions_SetReconnectBufSize(options, RECONNECT_BUFFER_BYTES));
    SET(natsOptions_SetPingInterval(options, PING_INTERVAL_MS));
    SET(natsOptions_SetMaxPingsOut(options, PINGS_OUT_MAX));
    SET(natsOptions_SetSendAsap(options, true));
    SET(natsOptions_UseGlobalMessageDelivery(options, true));
#undef SET
    return status;
}

/* Of the first of @servers, which is_server_url() took. Appends a NUL. */
static void write_host(const char *server, struct buf *out)
{
    const char *scheme_end = strstr(server, "://");
    const char *begin = scheme_end != NULL ? scheme_end + 3 : server;
    const char *credentials_end = strrchr(begin, '@');
    begin = credentials_end != NULL ? credentials_end + 1 : begin;
    size_t len = *begin == '[' ? strcspn(++begin, "]") : strcspn(begin, ":");
    buf_append(out, begin, len);
    buf_append_char(out, '\0');
}

static bool is_set(const char *setting)
{
    return setting[0] != '\0';
}

/* Settings that are sound alone and make no sense together. NULL: they do. */
static const char *wrong_settings(const struct nats_settings *settings)
{
    int ways =
        is_set(settings->user) + is_set(settings->token) + is_set(settings->credentials_file);
    if (ways > 1) {
        return "NATS_USER, NATS_TOKEN and NATS_CREDENTIALS_FILE exclude each other: set one of "
               "them";
    }
    if (is_set(settings->password) != is_set(settings->user)) {
        return "NATS_USER and NATS_PASSWORD belong together: set both, or none";
    }
    if (is_set(settings->tls_cert_file) != is_set(settings->tls_key_file)) {
        return "NATS_TLS_CERT_FILE and NATS_TLS_KEY_FILE belong together: set both, or none";
    }
    return NULL;
}

static bool set_file_option(natsStatus status, const char *setting, const char *path,
                            struct buf *ret_error)
{
    if (status != NATS_OK) {
        buf_append_format(ret_error,
                          "%s is %s, which cannot be used: it has to be a file that can be "
                          "read, in PEM",
                          setting, path);
    }
    return status == NATS_OK;
}

/* Who we are, and TLS. */
static bool set_security(natsOptions *options, const struct nats_settings *settings,
                         const char *server, struct buf *ret_error)
{
    natsStatus status = NATS_OK;
    if (is_set(settings->user)) {
        status = natsOptions_SetUserInfo(options, settings->user, settings->password);
    } else if (is_set(settings->token)) {
        status = natsOptions_SetToken(options, settings->token);
    } else if (is_set(settings->credentials_file) &&
               !set_file_option(natsOptions_SetUserCredentialsFromFiles(
                                    options, settings->credentials_file, NULL),
                                "NATS_CREDENTIALS_FILE", settings->credentials_file, ret_error)) {
        return false;
    }
    bool is_secure = is_set(settings->tls_ca_file) || is_set(settings->tls_cert_file) ||
                     strstr(settings->urls, "tls://") != NULL;
    if (status == NATS_OK && is_secure) {
        struct buf host = BUF_INIT;
        write_host(server, &host);
        status = natsOptions_SetSecure(options, true);
        status = status == NATS_OK ? natsOptions_SetExpectedHostname(options, host.data) : status;
        buf_release(&host);
    }
    ASSERT(status == NATS_OK); /* there is nothing to go wrong but memory */
    return (!is_set(settings->tls_ca_file) ||
            set_file_option(natsOptions_LoadCATrustedCertificates(options, settings->tls_ca_file),
                            "NATS_TLS_CA_FILE", settings->tls_ca_file, ret_error)) &&
           (!is_set(settings->tls_cert_file) ||
            set_file_option(natsOptions_LoadCertificatesChain(options, settings->tls_cert_file,
                                                              settings->tls_key_file),
                            "NATS_TLS_CERT_FILE", settings->tls_cert_file, ret_error));
}

natsOptions *nats_options_new(const struct nats_settings *settings, const char *name,
                              struct buf *ret_error)
{
    const char *wrong = wrong_settings(settings);
    if (wrong != NULL) {
        buf_append_bytes(ret_error, bytes_of_string(wrong));
        return NULL;
    }
    char *copy = mem_copy_string(settings->urls, strlen(settings->urls));
    const char *servers[SERVERS_MAX];
    int count = split(copy, servers);
    natsOptions *options = NULL;
    natsStatus status = count == 0 ? NATS_INVALID_ARG : natsOptions_Create(&options);
    if (status == NATS_OK) {
        status = set_options(options, servers, count, name);
    }
    bool is_well = status == NATS_OK;
    if (!is_well) {
        buf_append_bytes(
            ret_error,
            BYTES("NATS_URL does not say where NATS is: write it as nats://host:4222, several "
                  "separated by commas (at most 16)."));
    } else {
        is_well = set_security(options, settings, servers[0], ret_error);
    }
    free(copy);
    if (!is_well) {
        natsOptions_Destroy(options);
        return NULL;
    }
    return options;
}

natsConnection *nats_try_connect(natsOptions *options, unsigned *tries)
{
    natsConnection *connection = NULL;
    natsStatus status = natsConnection_Connect(&connection, options);
    if (status == NATS_OK) {
        return connection;
    }
    if ((*tries)++ == 0) {
        LOG(LOG_WARN, "nats_not_there_yet", F_STR("reason", natsStatus_GetText(status)),
            F_STR("hint", "waiting for the NATS of NATS_URL"));
    }
    return NULL;
}

bool nats_check_payload(natsConnection *connection, size_t bytes)
{
    int64_t max = natsConnection_GetMaxPayload(connection);
    if (max >= (int64_t)bytes) {
        return true;
    }
    LOG(LOG_ERROR, "nats_max_payload_too_small", F_INT("max_payload", max), F_INT("needed", bytes),
        F_STR("hint", "raise max_payload in the configuration of the NATS of NATS_URL; until then "
                      "it is not used"));
    return false;
}
