import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const BUSYBOX = '/bin/busybox';

/** What commands run in: one static program under its many names. Podman gives what is imported no other tag. */
export const IMAGE = 'localhost/busybox:latest';

/** The same, with wishes of its own that commands do not follow. */
export const WILFUL_IMAGE = 'localhost/wilful:latest';
const WISHES = ['ENTRYPOINT ["/bin/false"]', 'CMD ["never"]', 'ENV FROM_IMAGE=yes', 'USER 0', 'WORKDIR /usr'];

/** The image as a tar file. */
export const packImage = (folder: string): Buffer => {
  const root = join(folder, 'image');
  for (const name of ['bin', 'sbin', 'usr/bin', 'usr/sbin', 'etc', 'proc', 'sys', 'dev', 'tmp']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  cpSync(BUSYBOX, join(root, 'bin/busybox'));
  for (const path of execFileSync(BUSYBOX, ['--list-full'], { encoding: 'utf8' }).trim().split('\n')) {
    if (path !== 'bin/busybox') symlinkSync('/bin/busybox', join(root, path));
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n');
  const file = join(folder, 'image.tar');
  execFileSync('tar', ['--owner=0', '--group=0', '-C', root, '-cf', file, '.']);
  return readFileSync(file);
};

/** Brings the images to a daemon, which needs no network for it. */
export const importImages = async (socketPath: string, folder: string): Promise<void> => {
  const image = packImage(folder);
  await importImage(socketPath, image, { name: IMAGE, changes: [] });
  await importImage(socketPath, image, { name: WILFUL_IMAGE, changes: WISHES });
};

const importImage = async (
  socketPath: string,
  image: Buffer,
  { name, changes }: { readonly name: string; readonly changes: readonly string[] },
): Promise<void> => {
  const [repo = '', tag = ''] = name.split(':');
  const query = new URLSearchParams({ fromSrc: '-', repo, tag });
  for (const change of changes) query.append('changes', change);
  const asked = request({ socketPath, method: 'POST', path: `/images/create?${query}` });
  asked.setHeader('content-type', 'application/x-tar');
  asked.end(image);
  await new Promise<void>((resolve, reject) => {
    asked.on('error', reject).on('response', async (answer) => {
      const said = await text(answer);
      if (answer.statusCode === 200 && !said.includes('"error"')) resolve();
      else reject(new Error(`The image ${name} was not imported: ${said}`));
    });
  });
};
