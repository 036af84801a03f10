import { startS3 } from '@strideiq/testkit';
import { openS3Store } from './open-s3-store.ts';
import { describeStore } from './testing/conformance.ts';

describeStore('an S3 store', async () => {
  const server = await startS3();
  await server.createBucket('conformance');
  const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
  const { endpoint } = server;
  const store = await openS3Store({ bucket: 'conformance', prefix: 'back ups+/', endpoint, credentials });
  return { store, end: async () => await server.stop() };
});
