/** System calls as x86-64 and arm64 number them; those from 424 on have one number everywhere. */
const DENIED = {
  x64: [
    101, 135, 155, 165, 166, 169, 175, 246, 248, 249, 250, 272, 298, 303, 304, 308, 310, 311, 312, 313, 320, 321, 323,
    103, 164,
  ],
  arm64: [
    117, 92, 41, 40, 39, 142, 105, 104, 217, 218, 219, 97, 241, 264, 265, 268, 270, 271, 272, 273, 294, 280, 282, 116,
    170,
  ],
  both: [425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 442],
} as const;
const ARCHITECTURES = { x64: { audit: 0xc000003e, socket: 41 }, arm64: { audit: 0xc00000b7, socket: 198 } } as const;
const CLONE_3 = 435;

const LOAD = 0x20;
const EQUAL = 0x15;
const AT_LEAST = 0x35;
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
const errno = (code: number): number => 0x00050000 | code;
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97];
const [NR, ARCH, ARGUMENT_0] = [0, 4, 16];

type Step = readonly [code: number, value: number, ifTrue?: number, ifFalse?: number];

/**
 * A filter for bubblewrap's --seccomp: other architectures and x32 are absent, what a command has no need of is denied, and of
 * sockets only those of programs and of the internet are left.
 */
export const seccompFilter = (arch: 'x64' | 'arm64'): Uint8Array => {
  const { audit, socket } = ARCHITECTURES[arch];
  const steps: Step[] = [
    [LOAD, ARCH],
    [EQUAL, audit, 1, 0],
    [RETURN, errno(ENOSYS)],
    [LOAD, NR],
    [AT_LEAST, 0x40000000, 0, 1],
    [RETURN, errno(ENOSYS)],
    // It hides its flags behind a pointer; libraries fall back to clone.
    [EQUAL, CLONE_3, 0, 1],
    [RETURN, errno(ENOSYS)],
    ...[...DENIED[arch], ...DENIED.both].flatMap((number): Step[] => [
      [EQUAL, number, 0, 1],
      [RETURN, errno(EPERM)],
    ]),
    [EQUAL, socket, 0, 5],
    [LOAD, ARGUMENT_0],
    [EQUAL, 1, 3, 0],
    [EQUAL, 2, 2, 0],
    [EQUAL, 10, 1, 0],
    [RETURN, errno(EAFNOSUPPORT)],
    [RETURN, ALLOW],
  ];
  const bytes = Buffer.alloc(steps.length * 8);
  for (const [index, [code, value, ifTrue = 0, ifFalse = 0]] of steps.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(value, index * 8 + 4);
  }
  return bytes;
};
