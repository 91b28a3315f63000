/**
 * nginx with nchan, as Debian has them: what comes on one WebSocket of /NAME, all of /NAME get. One worker, as a gateway is
 * one process; nothing is logged, and no more is kept than what is in flight.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

export const MODULE = '/usr/lib/nginx/modules/ngx_nchan_module.so';

const configuration = (folder, port, connections) => `
load_module ${MODULE};
daemon off;
worker_processes 1;
worker_rlimit_nofile ${connections};
pid ${folder}/pid;
error_log stderr notice;

events {
    worker_connections ${connections};
}

http {
    access_log off;
    client_body_temp_path ${folder}/body;
    proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    nchan_shared_memory_size 256M;

    server {
        listen 127.0.0.1:${port} backlog=4096;
        location ~ ^/([A-Za-z0-9-]+)$ {
            nchan_pubsub websocket;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
            nchan_message_buffer_length 256;
            nchan_message_timeout 30s;
        }
    }
}
`;

/** Writes what nginx needs into the folder, which it makes. Returns the file to start nginx with. */
export async function writeConfiguration(folder, port, connections) {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755); // its worker is another user
  const file = path.join(folder, 'nginx.conf');
  await writeFile(file, configuration(folder, port, connections));
  return file;
}
