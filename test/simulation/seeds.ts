import type { ProfileName } from './profiles.ts';

/** Seeds that once found something, each with what it was. They are played for ever. */
export const SAVED_SEEDS: readonly { readonly profile: ProfileName; readonly seed: number; readonly found: string }[] =
  [
    {
      profile: 'image',
      seed: 92,
      found: 'a day of the quotas ended twice at midnight, and from then on no command could end',
    },
    {
      profile: 'image',
      seed: 148,
      found: 'a time to look again of half a millisecond, which sorted behind all others for ever',
    },
    { profile: 'image', seed: 175, found: 'the same, with something left at the provider' },
    {
      profile: 'lambda',
      seed: 106,
      found: 'a command that ran on after it was told to be canceled: it was only not heard of',
    },
    { profile: 'lambda', seed: 346, found: 'the same' },
    {
      profile: 'lambda',
      seed: 433,
      found: 'a command that was executed twice: the second invocation could not redeem, and was believed',
    },
    {
      profile: 'container-instances',
      seed: 10_458,
      found: 'a command that ran on after it was told to be canceled: the provider did not show it yet',
    },
    {
      profile: 'cloud-run',
      seed: 27_000,
      found:
        'a command twice in the audit log: a process that woke up handed in what was in it, by what it had read before',
    },
    {
      profile: 'cloud-run',
      seed: 30_024,
      found: 'the same, asked by a process whose clock was minutes ahead',
    },
    {
      profile: 'schedules',
      seed: 474,
      found:
        'an instant told to be missed whose command ran: its note met a fault after a clock that was ahead had passed it',
    },
    {
      profile: 'schedules-far',
      seed: 22,
      found: 'an instant that was submitted, and told to be missed: who submitted it died before it was noted',
    },
    {
      profile: 'schedules-far',
      seed: 10_403,
      found:
        'a submission that met a fault while another with its key was on its way, and was refused for good: it was taken for one that is no longer kept',
    },
    {
      profile: 'workflows-far',
      seed: 4_183,
      found:
        'a command that the audit log never had: stored a minute after it had its id, by a repetition, it was not in an index yet as the log’s reader went past',
    },
    {
      profile: 'workflows-far',
      seed: 15_306,
      found: 'output that grew after its command had ended: a process had frozen with a piece of it in its hands',
    },
    {
      profile: 'workflows-far',
      seed: 185,
      found:
        'a node that ran after its workflow was canceled, and unknown to it: it was given up by one process, and submitted by another',
    },
    {
      profile: 'schedules-far',
      seed: 30_237,
      found: 'an instant that was told to be given up, and was submitted',
    },
    {
      profile: 'schedules-far',
      seed: 17_930,
      found: 'a command of an instant that its history calls missed: a clock was ahead, and who submitted it died',
    },
    {
      profile: 'workflows-far',
      seed: 32_589,
      found: 'a workflow that waited for a quota: each look at it led to another, until there was nothing else',
    },
  ];
