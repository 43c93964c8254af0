import { describe, expect, test } from 'vitest';
import { DockerConfig, dockerFeatures } from '../../../../shared/providers/docker/config.ts';

const tls = { host: 'docker.example', caFile: '/tls/ca.pem', certFile: '/tls/cert.pem', keyFile: '/tls/key.pem' };

describe('the configuration of a docker target', () => {
  test('the least is an image; the rest is as narrow as can be', () => {
    expect(DockerConfig.parse({ image: 'alpine:3.21' })).toEqual({
      image: 'alpine:3.21',
      images: [],
      pull: 'missing',
      user: '65534:65534',
      network: 'none',
      readOnly: true,
      tmpMiB: 256,
      cpu: 1,
      memoryMiB: 512,
      pids: 256,
      ulimits: { nofile: 4_096, core: 0 },
      graceSeconds: 5,
    });
  });

  test.for<[string, object, object]>([
    ['a socket', { socketPath: '/run/podman/podman.sock' }, {}],
    ['a daemon elsewhere', { tls: { ...tls, port: 2_376 } }, {}],
    ['an image by its digest', { image: `registry.example:5000/a/b@sha256:${'0'.repeat(64)}` }, {}],
    ['a network of the daemon', { network: 'builds' }, {}],
    ['a limit of its own beside ours', { ulimits: { nproc: 64 } }, { ulimits: { nofile: 4_096, core: 0, nproc: 64 } }],
    ['root, which is then said', { user: '0:0' }, {}],
  ])('taken: %s', ([, over, taken]) => {
    expect(DockerConfig.parse({ image: 'alpine:3', ...over })).toMatchObject({ ...over, ...taken });
  });

  test.for<[string, object, string]>([
    ['no image', { image: undefined }, 'image'],
    ['an option for an image', { image: '--privileged' }, 'image'],
    ['a socket by a relative path', { socketPath: 'docker.sock' }, 'socketPath'],
    ['two daemons', { socketPath: '/run/docker.sock', tls }, 'tls'],
    ['a daemon elsewhere without a certificate', { tls: { ...tls, certFile: undefined } }, 'tls.certFile'],
    ['the network of the machine', { network: 'host' }, 'network'],
    ['the network of another container', { network: 'container:other' }, 'network'],
    ['a user by name, who may be anyone', { user: 'node' }, 'user'],
    ['a user without a group, which would be root’s', { user: '1000' }, 'user'],
    ['less memory than a container takes', { memoryMiB: 4 }, 'memoryMiB'],
    ['a mount', { binds: ['/:/host'] }, ''],
    ['privileges', { privileged: true }, ''],
  ])('refused: %s', ([, over, path]) => {
    const { error } = DockerConfig.safeParse({ image: 'alpine:3', ...over });
    expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  });

  test.for<[string, readonly string[], boolean]>([
    ['no other image is allowed', [], false],
    ['others are', ['alpine:*'], true],
  ])('whether a command may name an image, when %s, is known before it is stored', ([, images, customImage]) => {
    expect(dockerFeatures({ images: [...images] })).toMatchObject({ customImage, isolation: ['container'] });
  });
});
