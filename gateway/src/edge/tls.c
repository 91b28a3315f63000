#include "tls.h"

#include "base/clock.h"
#include "base/log.h"
#include <h2o.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Contexts before the newest: handshakes that began with one may go on for seconds, and libh2o does not count them. */
enum { CONTEXTS = 4 };

struct file_state {
    struct timespec changed;
    ino_t inode;
};

struct tls {
    const char *cert_file, *key_file;
    struct timers *timers;
    struct timer look;
    SSL_CTX *contexts[CONTEXTS];
    size_t newest;
    struct file_state cert_seen, key_seen;
    int64_t expires_s;
};

static struct file_state state_of(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 ? (struct file_state){found.st_mtim, found.st_ino}
                                   : (struct file_state){0};
}

static bool is_same(const struct file_state *a, const struct file_state *b)
{
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->inode == b->inode;
}

static void write_error(struct buf *ret_error, const char *setting, const char *path)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    buf_append_format(ret_error, "%s is %s, which cannot be used: %s", setting, path,
                      reason != NULL ? reason : "it cannot be read");
    ERR_clear_error();
}

static void set_up(SSL_CTX *context)
{
    /* With 1.3 all suites are like that. */
    static const char CIPHERS[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
    static char http_1_1[] = "http/1.1";
    static const h2o_iovec_t PROTOCOLS[] = {{http_1_1, sizeof(http_1_1) - 1}, {NULL, 0}};
    ASSERT(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    ASSERT(SSL_CTX_set_cipher_list(context, CIPHERS) == 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* an idle connection has none */
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_OFF); /* tickets are the clients' to keep */
    h2o_ssl_register_alpn_protocols(context, PROTOCOLS);
}

static int64_t end_of_certificate(SSL_CTX *context)
{
    struct tm end;
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    return certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1
               ? (int64_t)timegm(&end)
               : 0;
}

/* NULL, with a sentence in @ret_error. Returns owned. */
static SSL_CTX *read_files(const struct tls *tls, struct buf *ret_error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    ASSERT(context != NULL);
    set_up(context);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, tls->cert_file) != 1) {
        write_error(ret_error, "TLS_CERT_FILE", tls->cert_file);
    } else if (SSL_CTX_use_PrivateKey_file(context, tls->key_file, SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(context) != 1) {
        write_error(ret_error, "TLS_KEY_FILE", tls->key_file);
    } else {
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}

static void take(struct tls *tls, SSL_CTX *context)
{
    tls->newest = (tls->newest + 1) % CONTEXTS;
    SSL_CTX_free(tls->contexts[tls->newest]);
    tls->contexts[tls->newest] = context;
    tls->expires_s = end_of_certificate(context);
}

static void on_look(struct timer *timer, uint64_t now_ms)
{
    struct tls *tls = CONTAINER_OF(timer, struct tls, look);
    timers_set(tls->timers, &tls->look, now_ms + TLS_LOOK_MS);
    struct file_state cert = state_of(tls->cert_file), key = state_of(tls->key_file);
    if (is_same(&cert, &tls->cert_seen) && is_same(&key, &tls->key_seen)) {
        return;
    }
    tls->cert_seen = cert;
    tls->key_seen = key;
    struct buf error = BUF_INIT;
    SSL_CTX *context = read_files(tls, &error);
    if (context != NULL) {
        take(tls, context);
        LOG(LOG_INFO, "certificate_read", F_STR("file", tls->cert_file),
            F_INT("expires", tls->expires_s));
    } else {
        LOG(LOG_ERROR, "certificate_refused", F_BYTES("reason", buf_bytes(&error)));
    }
    buf_release(&error);
}

bool tls_new(const char *cert_file, const char *key_file, struct timers *timers,
             struct tls **ret_tls, struct buf *ret_error)
{
    *ret_tls = NULL;
    if (cert_file[0] == '\0' && key_file[0] == '\0') {
        return true;
    }
    if (cert_file[0] == '\0' || key_file[0] == '\0') {
        buf_append_bytes(
            ret_error, BYTES("TLS_CERT_FILE and TLS_KEY_FILE belong together: set both, or none"));
        return false;
    }
    struct tls *tls = mem_alloc_zeroed(sizeof(*tls));
    *tls = (struct tls){
        .cert_file = cert_file,
        .key_file = key_file,
        .timers = timers,
        .cert_seen = state_of(cert_file),
        .key_seen = state_of(key_file),
    };
    timer_init(&tls->look, on_look);
    SSL_CTX *context = read_files(tls, ret_error);
    if (context == NULL) {
        free(tls);
        return false;
    }
    take(tls, context);
    timers_set(timers, &tls->look, clock_monotonic_ms() + TLS_LOOK_MS);
    *ret_tls = tls;
    return true;
}

void tls_free(struct tls *tls)
{
    if (tls != NULL) {
        timers_clear(tls->timers, &tls->look);
        for (size_t i = 0; i < CONTEXTS; i++) {
            SSL_CTX_free(tls->contexts[i]);
        }
        free(tls);
    }
}

SSL_CTX *tls_context(const struct tls *tls)
{
    return tls->contexts[tls->newest];
}

int64_t tls_expires_s(const struct tls *tls)
{
    return tls->expires_s;
}
