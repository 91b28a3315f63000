#include "assets.h"

#include "base/map.h"
#include "http.h"
#include "wire/json.h"
#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    COMPRESS_BYTES_MIN = 1024,
    COMPRESS_LEVEL_BEST = 9,
    CLIENT_FILE_PARTS = 2,
};

struct asset {
    char *path; /* "/style.css" */
    const char *type;
    char *etag;
    bool is_text;
    struct buf content;
    struct buf gzipped;      /* the compressor's, until ... */
    atomic_bool has_gzipped; /* ... it says so; never where that does not pay */
};

struct assets {
    struct map by_path;
    const char *cache_control;
    size_t bytes;
    pthread_t compressor; /* reads by_path and contents, which do not change any more */
    bool has_compressor;
    atomic_bool is_ending; /* it need not go on */
};

/* --- building --------------------------------------------------------------------------------------------------- */

static struct bytes asset_key(const void *asset)
{
    return bytes_of_string(((const struct asset *)asset)->path);
}

static const struct {
    const char *extension;
    const char *type;
    bool is_text;
} types[] = {
    {".html", "text/html; charset=utf-8", true},
    {".css", "text/css; charset=utf-8", true},
    {".js", "text/javascript; charset=utf-8", true},
    {".mjs", "text/javascript; charset=utf-8", true},
    {".json", "application/json; charset=utf-8", true},
    {".map", "application/json; charset=utf-8", true},
    {".svg", "image/svg+xml", true},
    {".txt", "text/plain; charset=utf-8", true},
    {".webmanifest", "application/manifest+json", true},
    {".png", "image/png", false},
    {".ico", "image/x-icon", false},
    {".webp", "image/webp", false},
    {".woff2", "font/woff2", false},
};

static bool find_type(const char *path, const char **ret_type)
{
    *ret_type = "application/octet-stream";
    const char *extension = strrchr(path, '.');
    for (size_t i = 0; extension != NULL && i < COUNT_OF(types); i++) {
        if (strcmp(extension, types[i].extension) == 0) {
            *ret_type = types[i].type;
            return types[i].is_text;
        }
    }
    return false;
}

static char *make_etag(struct bytes content)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    ASSERT(EVP_Digest(content.data, content.len, digest, NULL, EVP_sha256(), NULL) == 1);
    struct buf etag = BUF_INIT;
    buf_append_char(&etag, '"');
    for (int i = 0; i < 12; i++) {
        buf_append_format(&etag, "%02x", digest[i]);
    }
    buf_append_char(&etag, '"');
    char *text = bytes_to_string(buf_bytes(&etag));
    buf_release(&etag);
    return text;
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return false;
    }
    for (;;) {
        char *at = buf_reserve(out, 65536);
        size_t n = fread(at, 1, 65536, file);
        out->len += n;
        if (n == 0 || out->len > ASSETS_BYTES_MAX) {
            break;
        }
    }
    bool is_read = !ferror(file);
    fclose(file);
    return is_read;
}

/* Adds @file as @path; @etag NULL: made from the content. Returns false when it cannot be read or is too much. */
static bool add_file(struct assets *assets, const char *file, const char *path, const char *etag)
{
    struct asset *asset = mem_alloc_zeroed(sizeof(*asset));
    if (!read_file(file, &asset->content)) {
        buf_release(&asset->content);
        free(asset);
        return false;
    }
    asset->is_text = find_type(file, &asset->type);
    asset->path = mem_copy_string(path, strlen(path));
    asset->etag =
        etag != NULL ? mem_copy_string(etag, strlen(etag)) : make_etag(buf_bytes(&asset->content));
    map_add(&assets->by_path, asset);
    assets->bytes += asset->content.len;
    errno = EFBIG;
    return assets->bytes <= ASSETS_BYTES_MAX && assets->by_path.count <= ASSETS_FILES_MAX;
}

/* Adds all files of @folder; their paths begin with @prefix. */
static bool add_folder(struct assets *assets, const char *folder, const char *prefix)
{
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        return false;
    }
    bool is_good = true;
    struct dirent *entry;
    while (is_good && (entry = readdir(entries)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        struct buf file = BUF_INIT, path = BUF_INIT;
        buf_append_format(&file, "%s/%s%c", folder, entry->d_name, '\0');
        buf_append_format(&path, "%s/%s%c", prefix, entry->d_name, '\0');
        struct stat status;
        is_good = stat(file.data, &status) == 0 &&
                  (S_ISDIR(status.st_mode)   ? add_folder(assets, file.data, path.data)
                   : S_ISREG(status.st_mode) ? add_file(assets, file.data, path.data, NULL)
                                             : true);
        buf_release(&file);
        buf_release(&path);
    }
    closedir(entries);
    return is_good;
}

static struct assets *assets_new(const char *cache_control)
{
    struct assets *assets = mem_alloc_zeroed(sizeof(*assets));
    map_init(&assets->by_path, asset_key);
    assets->cache_control = cache_control;
    return assets;
}

static void compress(struct asset *asset)
{
    if (!asset->is_text || asset->content.len < COMPRESS_BYTES_MIN) {
        return;
    }
    http_gzip(buf_bytes(&asset->content), COMPRESS_LEVEL_BEST, &asset->gzipped);
    if (asset->gzipped.len < asset->content.len) {
        atomic_store(&asset->has_gzipped, true);
    } else {
        buf_release(&asset->gzipped);
    }
}

static void *run_compressor(void *user)
{
    struct assets *assets = user;
    size_t cursor = 0;
    for (struct asset *asset; (asset = map_next(&assets->by_path, &cursor)) != NULL &&
                              !atomic_load(&assets->is_ending);) {
        compress(asset);
    }
    return NULL;
}

static void start_compressor(struct assets *assets)
{
    ASSERT(pthread_create(&assets->compressor, NULL, run_compressor, assets) == 0);
    assets->has_compressor = true;
}

struct assets *assets_read_folder(const char *folder, const char *setting, struct buf *ret_error)
{
    struct assets *assets = assets_new("no-cache");
    struct buf index = BUF_INIT;
    buf_append_format(&index, "%s/index.html%c", folder, '\0');
    if (!add_folder(assets, folder, "") || !add_file(assets, index.data, "/", NULL)) {
        buf_append_format(
            ret_error,
            "%s: cannot serve the files of \"%s\" (%s); it must be a folder with an index.html",
            setting, folder, strerror(errno));
        assets_free(assets);
        assets = NULL;
    } else {
        start_compressor(assets);
    }
    buf_release(&index);
    return assets;
}

/* The version in @folder's package.json, as an ETag. Returns owned, NULL when there is none. */
static char *read_version_etag(const char *folder)
{
    struct buf path = BUF_INIT, text = BUF_INIT, version = BUF_INIT;
    char *etag = NULL;
    struct bytes package, value;
    buf_append_format(&path, "%s/package.json%c", folder, '\0');
    bool is_known = read_file(path.data, &text) && json_scan(buf_bytes(&text), &package) &&
                    json_type_of(package) == JSON_OBJECT &&
                    json_object_get(package, BYTES("version"), &value) &&
                    json_type_of(value) == JSON_STRING &&
                    json_string_decode(value, &version) == JSON_STRING_OK;
    if (is_known) {
        buf_clear(&text);
        buf_append_format(&text, "\"%.*s\"", BYTES_FMT(buf_bytes(&version)));
        etag = bytes_to_string(buf_bytes(&text));
    }
    buf_release(&path);
    buf_release(&text);
    buf_release(&version);
    return etag;
}

static bool add_client_files(struct assets *assets, const char *folder, const char *etag)
{
    static const char *const names[] = {"socket.io", "socket.io.min", "socket.io.esm.min",
                                        "socket.io.msgpack.min"};
    static const char *const endings[CLIENT_FILE_PARTS] = {".js", ".js.map"};
    bool is_good = true;
    for (size_t i = 0; is_good && i < COUNT_OF(names) * CLIENT_FILE_PARTS; i++) {
        struct buf file = BUF_INIT, path = BUF_INIT;
        const char *name = names[i / CLIENT_FILE_PARTS], *ending = endings[i % CLIENT_FILE_PARTS];
        buf_append_format(&file, "%s/dist/%s%s%c", folder, name, ending, '\0');
        buf_append_format(&path, "/%s%s%c", name, ending, '\0');
        is_good = add_file(assets, file.data, path.data, etag);
        buf_release(&file);
        buf_release(&path);
    }
    return is_good;
}

struct assets *assets_read_client(const char *folder, const char *setting, struct buf *ret_error)
{
    struct assets *assets = assets_new("public, max-age=0");
    char *etag = read_version_etag(folder);
    if (etag == NULL || !add_client_files(assets, folder, etag)) {
        buf_append_format(ret_error,
                          "%s: \"%s\" does not hold the npm package socket.io-client; run \"npm "
                          "ci\", or say where it is",
                          setting, folder);
        assets_free(assets);
        assets = NULL;
    } else {
        start_compressor(assets);
    }
    free(etag);
    return assets;
}

void assets_free(struct assets *assets)
{
    if (assets == NULL) {
        return;
    }
    if (assets->has_compressor) {
        atomic_store(&assets->is_ending, true);
        pthread_join(assets->compressor, NULL);
    }
    size_t cursor = 0;
    for (struct asset *asset; (asset = map_next(&assets->by_path, &cursor)) != NULL;) {
        buf_release(&asset->content);
        buf_release(&asset->gzipped);
        free(asset->etag);
        free(asset->path);
        free(asset);
    }
    map_release(&assets->by_path);
    free(assets);
}

/* --- serving ---------------------------------------------------------------------------------------------------- */

/* Whether If-None-Match names @etag (RFC 9110, 13.1.2: weak comparison). */
static bool has_already(const h2o_req_t *req, const char *etag)
{
    struct bytes known = http_header(req, BYTES("if-none-match"));
    return bytes_equal(known, BYTES("*")) ||
           (known.len > 0 && memmem(known.data, known.len, etag, strlen(etag)) != NULL);
}

bool assets_serve(const struct assets *assets, h2o_req_t *req, struct bytes path)
{
    static h2o_generator_t generator = {NULL, NULL};
    const struct asset *asset = map_get(&assets->by_path, path);
    struct bytes method = http_method(req);
    bool is_head = bytes_equal(method, BYTES("HEAD"));
    if (asset == NULL || (!is_head && !bytes_equal(method, BYTES("GET")))) {
        return false;
    }
    http_add_header(req, "cache-control", bytes_of_string(assets->cache_control));
    http_add_header(req, "etag", bytes_of_string(asset->etag));
    http_add_header(req, "vary", BYTES("Accept-Encoding"));
    http_add_header(req, "x-content-type-options", BYTES("nosniff"));
    const struct buf *body = &asset->content;
    if (has_already(req, asset->etag)) {
        req->res.status = 304;
        req->res.reason = "Not Modified";
        req->res.content_length = SIZE_MAX;
        h2o_start_response(req, &generator);
        h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
        return true;
    }
    if (atomic_load(&asset->has_gzipped) && http_accepts_gzip(req)) {
        body = &asset->gzipped;
        http_add_header(req, "content-encoding", BYTES("gzip"));
    }
    http_add_header(req, "content-type", bytes_of_string(asset->type));
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = body->len;
    h2o_iovec_t part = h2o_iovec_init(body->data, body->len);
    h2o_start_response(req, &generator);
    h2o_send(req, &part, is_head ? 0 : 1, H2O_SEND_STATE_FINAL);
    return true;
}
