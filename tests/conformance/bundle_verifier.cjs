// SPDX-License-Identifier: Apache-2.0
// node bundle_verifier.cjs KEY.pem [ROOT.json [ARTIFACT]] < bundle: verified by npm's @sigstore/verify with a managed key
// and no log; with a trusted root one timestamp by an authority of it is demanded.
const { createPublicKey } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
// The packages are in the working directory, not beside this file.
const load = createRequire(`${process.cwd()}/`);
const { bundleFromJSON } = load('@sigstore/bundle');
const { TrustedRoot } = load('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = load('@sigstore/verify');

const publicKey = createPublicKey(readFileSync(process.argv[2]));
const [rootFile, artifactFile] = process.argv.slice(3);
const empty = { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' };
const root = rootFile ? JSON.parse(readFileSync(rootFile, 'utf8')) : empty;
const trust = toTrustMaterial(TrustedRoot.fromJSON(root), () => ({ publicKey, validFor: () => true }));
const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: rootFile ? 1 : 0 });
const artifact = artifactFile ? readFileSync(artifactFile) : undefined;
try {
  verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(readFileSync(0, 'utf8'))), artifact));
  console.log('verified');
} catch (fault) {
  console.log(fault.code || fault.name);
  process.exitCode = 3;
}
