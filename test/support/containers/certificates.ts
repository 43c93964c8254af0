import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificates {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** An authority in a folder, and what it gives: to a server that is 127.0.0.1, and to a client. */
export const makeCertificates = (folder: string): { readonly server: Certificates; readonly client: Certificates } => {
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=authority', '-keyout', 'ca-key.pem', '-out', 'ca.pem');
  const give = (name: string, extensions: string): Certificates => {
    writeFileSync(join(folder, `${name}.ext`), extensions);
    openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', `${name}-key.pem`, '-out', `${name}.csr`);
    const authority = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial'];
    const files = ['-in', `${name}.csr`, '-out', `${name}.pem`, '-extfile', `${name}.ext`];
    openssl('x509', '-req', '-days', '2', ...authority, ...files);
    const path = (file: string) => join(folder, file);
    return { caFile: path('ca.pem'), certFile: path(`${name}.pem`), keyFile: path(`${name}-key.pem`) };
  };
  return {
    server: give('server', 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n'),
    client: give('client', 'extendedKeyUsage=clientAuth\n'),
  };
};
