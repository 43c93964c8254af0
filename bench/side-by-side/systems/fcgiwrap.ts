import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort } from '../processes.ts';
import { PROGRAMS, type System } from './system.ts';

/** More than fit on the cores at once, so that none of them idles. */
const PROCESSES = 8;

/** https://github.com/gnosek/fcgiwrap behind nginx: CGI, a process for each request. */
export const fcgiwrap: System = {
  name: 'fcgiwrap',
  durability: 'none',
  isDurable: false,
  missing: () =>
    findProgram('fcgiwrap') && findProgram('nginx') ? undefined : 'apt-get install -y fcgiwrap nginx-light',
  async start({ directory, launch }) {
    const [nginx, wrapper] = [findProgram('nginx') as string, findProgram('fcgiwrap') as string];
    writeProgram(join(directory, 'hello.cgi'), PROGRAMS.hello.script);
    const [port, wrapperPort] = [await freePort(), await freePort()];
    const file = join(directory, 'nginx.conf');
    writeFileSync(file, configuration(directory, port, wrapperPort));
    // By TCP: a full queue of connections is waited for there, and refused at once on a Unix socket.
    await launch(wrapper, ['-c', String(PROCESSES), '-s', `tcp:127.0.0.1:${wrapperPort}`], { ready: wrapperPort });
    await launch(nginx, ['-p', directory, '-c', file, '-e', 'stderr'], { ready: port });
    return {
      version: `nginx ${versionOf(nginx)}, ${PROCESSES} processes of fcgiwrap`,
      port,
      // A CGI program begins with headers, which /bin/true does not write; how it exits is not passed on.
      requestFor: (program, isolation) =>
        program === 'hello' && isolation === 'none'
          ? { path: '/hello.cgi', headers: {}, body: '', expected: PROGRAMS.hello.stdout }
          : undefined,
      readAnswer: (status, body) => ({ exitCode: status === 200 ? 0 : 'not 0', stdout: body }),
    };
  },
};

const writeProgram = (file: string, script: string): void => {
  writeFileSync(file, `#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n${script}\n`);
  chmodSync(file, 0o755);
};

/** As it comes, but for connections that are kept and logs that are not. */
const configuration = (directory: string, port: number, wrapperPort: number): string => `
  daemon off;
  worker_processes 1;
  pid ${directory}/nginx.pid;
  ${process.getuid?.() === 0 ? 'user root;' : ''}
  events { worker_connections 1024; }
  http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path ${directory}/body;
    fastcgi_temp_path ${directory}/fastcgi;
    proxy_temp_path ${directory}/proxy;
    uwsgi_temp_path ${directory}/uwsgi;
    scgi_temp_path ${directory}/scgi;
    server {
      listen 127.0.0.1:${port};
      location / {
        fastcgi_pass 127.0.0.1:${wrapperPort};
        fastcgi_param SCRIPT_FILENAME ${directory}$uri;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param CONTENT_LENGTH $content_length;
        fastcgi_param SERVER_PROTOCOL $server_protocol;
      }
    }
  }
`;

const versionOf = (nginx: string): string | undefined =>
  /nginx\/(\S+)/.exec(spawnSync(nginx, ['-v']).stderr.toString())?.[1];
