// validate.mjs FOLDER: every document of every manifest below FOLDER against the schema of its kind, as the Kubernetes
// API publishes it (the package kubernetes-models compiles its OpenAPI). Kinds that are not Kubernetes' own are named
// and left out. Exit status 1 if anything is not valid, or if nothing was looked at.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const require = createRequire(import.meta.url);
// By path: the package compiles its validators, but names its classes alone as what may be imported.
const schemas = join(dirname(fileURLToPath(import.meta.url)), 'node_modules', 'kubernetes-models', '_schemas');

function manifests(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'chart' ? [] : manifests(path); // templates are no YAML
    return path.endsWith('.yaml') ? [path] : [];
  });
}

// apps/v1 StatefulSet: IoK8sApiAppsV1StatefulSet; v1 Service: IoK8sApiCoreV1Service.
function validator(document) {
  const [group, version] = document.apiVersion.includes('/') ? document.apiVersion.split('/') : ['core', document.apiVersion];
  const upper = (word) => word[0].toUpperCase() + word.slice(1);
  if (group.includes('.') && !group.endsWith('k8s.io')) return null;
  const file = join(schemas, `IoK8sApi${upper(group.split('.')[0])}${upper(version)}${document.kind}.js`);
  return existsSync(file) ? require(file).validate : null;
}

let looked = 0;
let failed = 0;
for (const path of manifests(process.argv[2])) {
  for (const parsed of parseAllDocuments(readFileSync(path, 'utf8'))) {
    const document = parsed.toJS();
    if (!document?.kind || !document.apiVersion) continue;
    const check = validator(document);
    if (!check) {
      console.log(`${path}: ${document.apiVersion} ${document.kind}: no schema of Kubernetes' own, left out`);
      continue;
    }
    looked += 1;
    if (check(document)) continue;
    failed += 1;
    for (const error of check.errors) console.log(`${path}: ${document.kind} ${document.metadata?.name}: ${error.instancePath} ${error.message}`);
  }
}
console.log(`${looked - failed} valid, ${failed} not`);
process.exit(looked > 0 && failed === 0 ? 0 : 1);
