import * as z from 'zod';

/*
 * What a container group may be made of, as far as the local server can run it (2023-05-01). Like Azure, it refuses names of
 * variables that a shell would take.
 */
const name = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'is not a valid name');
const variable = z
  .strictObject({
    name: z
      .string()
      .max(63)
      .regex(/^[A-Za-z0-9]([A-Za-z0-9_]*[A-Za-z0-9])?$/, 'is not a valid name of an environment variable'),
    value: z.string().optional(),
    secureValue: z.string().optional(),
  })
  .refine(({ value, secureValue }) => value === undefined || secureValue === undefined, 'has two values');
const volumeMount = z.strictObject({
  name,
  mountPath: z.string().regex(/^\/[^:]*$/),
  readOnly: z.boolean().optional(),
});
const command = z.array(z.string()).min(1);
const machine = z.strictObject({
  cpu: z.number().min(0.01),
  memoryInGB: z
    .number()
    .min(0.1)
    .refine((memory) => Math.abs(memory * 10 - Math.round(memory * 10)) < 1e-9, 'must be in steps of 0.1'),
});

const ContainerRequest = z.strictObject({
  name,
  properties: z.strictObject({
    image: z.string().min(1),
    command: command.optional(),
    environmentVariables: z.array(variable).optional(),
    ports: z.array(z.strictObject({ port: z.int() })).optional(),
    resources: z.strictObject({ requests: machine }),
    volumeMounts: z.array(volumeMount).optional(),
  }),
});

const InitContainerRequest = z.strictObject({
  name,
  properties: z.strictObject({
    image: z.string().min(1),
    command: command.optional(),
    environmentVariables: z.array(variable).optional(),
    volumeMounts: z.array(volumeMount).optional(),
  }),
});

export const GroupRequest = z.strictObject({
  location: z.string().min(1),
  tags: z
    .record(z.string().max(512), z.string().max(256))
    .refine((tags) => Object.keys(tags).length <= 50, 'are more than 50')
    .optional(),
  properties: z
    .strictObject({
      containers: z.array(ContainerRequest).min(1).max(60),
      initContainers: z.array(InitContainerRequest).optional(),
      osType: z.enum(['Linux']),
      restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).default('Always'),
      sku: z.enum(['Standard']).default('Standard'),
      volumes: z.array(z.strictObject({ name, emptyDir: z.strictObject({}) })).optional(),
      subnetIds: z.array(z.strictObject({ id: z.string().min(1), name: z.string().optional() })).optional(),
    })
    .superRefine(({ containers, initContainers = [], volumes = [] }, context) => {
      const sum = (pick: (one: z.infer<typeof machine>) => number) =>
        containers.reduce((all, one) => all + pick(one.properties.resources.requests), 0);
      const refuse = (message: string) => context.addIssue({ code: 'custom', path: ['containers'], message });
      if (sum(({ cpu }) => cpu) > 4) refuse('ask for more than 4 CPUs');
      if (sum(({ memoryInGB }) => memoryInGB) > 16) refuse('ask for more than 16 GB of memory');
      for (const one of [...containers, ...initContainers]) {
        for (const { name: mounted } of one.properties.volumeMounts ?? []) {
          if (!volumes.some((volume) => volume.name === mounted))
            refuse(`mount the volume ${mounted}, which is not there`);
        }
      }
    }),
});

export type GroupRequest = z.infer<typeof GroupRequest>;
export type ContainerRequest = z.infer<typeof ContainerRequest> | z.infer<typeof InitContainerRequest>;
