import { describe, expect, test } from 'vitest';
import { isAllowed, registryAuth, registryOf, splitImage } from '../../../../shared/providers/docker/images.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test.for<[string, readonly string[], boolean]>([
  ['alpine:3', [], true],
  ['alpine:3.21', [], false],
  ['alpine:3.21', ['alpine:3.*'], true],
  ['alpine:3x21', ['alpine:3.*'], false],
  ['alpine:4.1', ['alpine:3.*'], false],
  ['evil/alpine:3.1', ['alpine:3.*'], false],
  ['alpine:3.1/evil', ['alpine:3.*'], false],
  ['registry.example/tools/a:1', ['registry.example/tools/*'], true],
  ['registry.example/tools/deep/a:1', ['registry.example/tools/*'], false],
  ['registryXexample/tools/a:1', ['registry.example/tools/*'], false],
  [`alpine@${DIGEST}`, [`alpine@${DIGEST}`], true],
  ['docker.io/library/alpine:3', ['alpine:*'], false],
])('%s among %j and alpine:3 is allowed: %s', ([asked, images, allowed]) => {
  expect(isAllowed({ image: 'alpine:3', images: [...images] }, asked)).toBe(allowed);
});

test.for<[string, string, string, string]>([
  ['alpine', 'alpine', 'latest', 'docker.io'],
  ['alpine:3', 'alpine', '3', 'docker.io'],
  ['library/alpine:3', 'library/alpine', '3', 'docker.io'],
  ['localhost/a', 'localhost/a', 'latest', 'localhost'],
  ['registry.example:5000/a', 'registry.example:5000/a', 'latest', 'registry.example:5000'],
  ['registry.example:5000/a/b:1', 'registry.example:5000/a/b', '1', 'registry.example:5000'],
  [`a/b:1@${DIGEST}`, 'a/b:1', DIGEST, 'docker.io'],
])('%s is asked for as %s and %s, of %s', ([image, repository, tag, registry]) => {
  expect([splitImage(image), registryOf(image)]).toEqual([{ repository, tag }, registry]);
});

describe('what signs in to a registry', () => {
  const basic = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
  const file = JSON.stringify({
    auths: { 'https://index.docker.io/v1/': basic('hub:one'), 'registry.example': basic('me:a:b') },
    credsStore: 'never-run',
  });
  test.for<[string, object | undefined]>([
    ['alpine:3', { username: 'hub', password: 'one' }],
    ['registry.example/a:1', { username: 'me', password: 'a:b' }],
    ['other.example/a:1', undefined],
  ])('for %s', ([image, auth]) => {
    expect(registryAuth(file, image)).toEqual(auth);
  });
});
