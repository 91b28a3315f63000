/*
 * assets.h - files that are served from memory: the page, and the Socket.IO client's bundles.
 *
 * All are read when the gateway starts, so that no request ever waits for a disk. A thread of each set's own compresses
 * what that pays for; it takes longer than the rest of a start, and until it has come to a file, that is served as it is.
 * Answers carry an ETag; a request that has the file already gets 304.
 *
 * The page's own files can be kept for good by browsers, since their addresses change with them: /-/<version>/main.js is
 * the folder's main.js, and /-/<version>/socket.io/… are the client's bundles. <version> is a digest of all files. A page
 * asks for that by writing "/-/main.js" in its HTML, where the version is put in; modules that import each other by
 * relative paths then have it as well. A page that does not is served byte for byte.
 *
 * Limits  ASSETS_FILES_MAX files, ASSETS_BYTES_MAX bytes in all (compressed, they are less); more is an error at start.
 * Thread  The loop's.
 */
#ifndef PARLEY_EDGE_ASSETS_H
#define PARLEY_EDGE_ASSETS_H

#include "base/bytes.h"
#include <h2o.h>

enum {
    ASSETS_FILES_MAX = 1024,
    ASSETS_BYTES_MAX = 64 * 1024 * 1024,
};

/* Where the client's bundles lie in the versioned folder. */
#define ASSETS_CLIENT_FOLDER "/socket.io/"

struct assets;

/*
 * Reads the client's bundles (socket.io.js, .min.js, .esm.min.js, .msgpack.min.js and their maps) from the npm package
 * socket.io-client in @folder. Their ETag is the package's version, as in the reference server. Returns NULL with a
 * sentence in @ret_error that names @setting.
 */
MUST_USE struct assets *assets_read_client(const char *folder, const char *setting,
                                           struct buf *ret_error);

/*
 * Reads all files below @folder, subfolders included, but for those whose names begin with a dot. The folder's index.html
 * is also served as "/" and as "/r/…", the address of a room. ETags are made from the content, and clients ask each time
 * whether it is still the same, but for versioned addresses. Borrows @client, which must outlive it. Returns NULL with a
 * sentence in @ret_error that names @setting.
 */
MUST_USE struct assets *assets_read_page(const char *folder, const struct assets *client,
                                         const char *setting, struct buf *ret_error);

void assets_free(struct assets *assets);

/* Answers GET and HEAD of @path ("/style.css"). Returns false, with nothing done, where there is no such file. */
bool assets_serve(const struct assets *assets, h2o_req_t *req, struct bytes path);

#endif
