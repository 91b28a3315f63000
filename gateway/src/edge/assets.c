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
    VERSION_BYTES = 16, /* hexadecimal digits */
};

/* What stands in an HTML file in front of a file that shall be kept for good; the version goes behind it. */
#define VERSIONED_REFERENCE "\"/-/"

#define VERSIONED_PREFIX "/-/"
#define ROOM_PREFIX      "/r/"
#define INDEX_FILE       "/index.html"
#define CACHE_FOR_GOOD   "public, max-age=31536000, immutable"
#define CACHE_NEVER      "no-store"

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
    /* of the page alone: */
    const struct assets *client;
    char version
        [VERSION_BYTES];  /* another one when any byte of any file, or a file's name, is another */
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

/* Appends the first @bytes of @content's SHA-256 in hexadecimal. */
static void append_digest(struct buf *out, struct bytes content, size_t bytes)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    ASSERT(EVP_Digest(content.data, content.len, digest, NULL, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < bytes; i++) {
        buf_append_format(out, "%02x", digest[i]);
    }
}

static char *make_etag(struct bytes content)
{
    struct buf etag = BUF_INIT;
    buf_append_char(&etag, '"');
    append_digest(&etag, content, 12);
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
    errno = EFBIG; /* what is said of those that are too much */
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

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends a line for each file, in the order of their paths: path and ETag. */
static void append_manifest(struct buf *out, const struct assets *assets)
{
    char **lines = mem_alloc_zeroed((assets->by_path.count + 1) * sizeof(*lines));
    size_t count = 0, cursor = 0;
    for (const struct asset *asset; (asset = map_next(&assets->by_path, &cursor)) != NULL;) {
        struct buf line = BUF_INIT;
        buf_append_format(&line, "%s %s\n", asset->path, asset->etag);
        lines[count++] = bytes_to_string(buf_bytes(&line));
        buf_release(&line);
    }
    qsort(lines, count, sizeof(*lines), compare_lines);
    for (size_t i = 0; i < count; i++) {
        buf_append_bytes(out, bytes_of_string(lines[i]));
        free(lines[i]);
    }
    free(lines);
}

static void make_version(struct assets *assets)
{
    struct buf manifest = BUF_INIT, version = BUF_INIT;
    append_manifest(&manifest, assets);
    append_manifest(&manifest, assets->client);
    append_digest(&version, buf_bytes(&manifest), VERSION_BYTES / 2);
    memcpy(assets->version, version.data, VERSION_BYTES);
    buf_release(&manifest);
    buf_release(&version);
}

/* Puts the version behind every VERSIONED_REFERENCE of an HTML file. */
static void insert_version(const struct assets *assets, struct asset *asset)
{
    static const struct bytes reference = {VERSIONED_REFERENCE, sizeof(VERSIONED_REFERENCE) - 1};
    struct buf versioned = BUF_INIT;
    struct bytes rest = buf_bytes(&asset->content);
    const char *at;
    while (rest.len > 0 &&
           (at = memmem(rest.data, rest.len, reference.data, reference.len)) != NULL) {
        size_t len = (size_t)(at - rest.data) + reference.len;
        buf_append(&versioned, rest.data, len);
        buf_append_format(&versioned, "%.*s/", VERSION_BYTES, assets->version);
        rest = bytes_skip(rest, len);
    }
    if (versioned.len == 0) {
        return;
    }
    buf_append_bytes(&versioned, rest);
    buf_release(&asset->content);
    asset->content = versioned;
    free(asset->etag);
    asset->etag = make_etag(buf_bytes(&asset->content));
}

static bool is_html(const struct asset *asset)
{
    return bytes_start_with(bytes_of_string(asset->type), BYTES("text/html"));
}

static void insert_versions(struct assets *assets)
{
    make_version(assets);
    size_t cursor = 0;
    for (struct asset *asset; (asset = map_next(&assets->by_path, &cursor)) != NULL;) {
        if (is_html(asset)) {
            insert_version(assets, asset);
        }
    }
}

struct assets *assets_read_page(const char *folder, const struct assets *client,
                                const char *setting, struct buf *ret_error)
{
    struct assets *assets = assets_new("no-cache");
    assets->client = client;
    bool is_read = add_folder(assets, folder, "");
    if (is_read && map_get(&assets->by_path, BYTES(INDEX_FILE)) == NULL) {
        errno = ENOENT;
        is_read = false;
    }
    if (!is_read) {
        buf_append_format(
            ret_error,
            "%s: cannot serve the files of \"%s\" (%s); it must be a folder with an index.html",
            setting, folder, strerror(errno));
        assets_free(assets);
        return NULL;
    }
    insert_versions(assets);
    start_compressor(assets);
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

/* An answer to make: which file, and how long it may be kept. */
struct found {
    const struct asset *asset;
    const char *cache_control;
};

/*
 * @path is behind VERSIONED_PREFIX: "<version>/main.js". A page of another version, from a gateway that is being replaced,
 * gets the files of this one, which nobody keeps, rather than nothing.
 */
static struct found find_versioned(const struct assets *assets, struct bytes path)
{
    const char *slash = memchr(path.data, '/', path.len);
    if (slash == NULL) {
        return (struct found){NULL, NULL};
    }
    struct bytes version = bytes_of(path.data, (size_t)(slash - path.data)),
                 file = bytes_skip(path, version.len), client = BYTES(ASSETS_CLIENT_FOLDER);
    bool is_current = bytes_equal(version, bytes_of(assets->version, VERSION_BYTES)),
         is_client = bytes_start_with(file, client);
    return (struct found){
        is_client ? map_get(&assets->client->by_path, bytes_skip(file, client.len - 1))
                  : map_get(&assets->by_path, file),
        is_current ? CACHE_FOR_GOOD : CACHE_NEVER,
    };
}

static struct found find(const struct assets *assets, struct bytes path)
{
    struct bytes versioned = BYTES(VERSIONED_PREFIX);
    if (assets->client != NULL && bytes_start_with(path, versioned)) {
        return find_versioned(assets, bytes_skip(path, versioned.len));
    }
    bool is_page = assets->client != NULL &&
                   (bytes_equal(path, BYTES("/")) || bytes_start_with(path, BYTES(ROOM_PREFIX)));
    return (struct found){map_get(&assets->by_path, is_page ? BYTES(INDEX_FILE) : path),
                          assets->cache_control};
}

static void add_headers(h2o_req_t *req, const struct found *found)
{
    http_add_header(req, "cache-control", bytes_of_string(found->cache_control));
    http_add_header(req, "etag", bytes_of_string(found->asset->etag));
    http_add_header(req, "vary", BYTES("Accept-Encoding"));
    http_add_header(req, "x-content-type-options", BYTES("nosniff"));
    if (is_html(found->asset)) {
        http_add_header(req, "content-security-policy", BYTES("frame-ancestors 'none'"));
        http_add_header(req, "referrer-policy", BYTES("same-origin"));
        http_add_header(req, "permissions-policy",
                        BYTES("camera=(), geolocation=(), microphone=(), payment=(), usb=()"));
    }
}

bool assets_serve(const struct assets *assets, h2o_req_t *req, struct bytes path)
{
    static h2o_generator_t generator = {NULL, NULL};
    struct found found = find(assets, path);
    const struct asset *asset = found.asset;
    struct bytes method = http_method(req);
    bool is_head = bytes_equal(method, BYTES("HEAD"));
    if (asset == NULL || (!is_head && !bytes_equal(method, BYTES("GET")))) {
        return false;
    }
    add_headers(req, &found);
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
