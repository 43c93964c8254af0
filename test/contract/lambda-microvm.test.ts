import { LambdaMicrovmConfig, lambdaMicrovmFeatures } from '../../shared/providers/lambda-microvm/config.ts';
import { CONFIG, openLambdaMicrovm } from '../support/clouds/lambda-microvms/open-lambda-microvm.ts';
import { providerContract } from './provider-contract.ts';

const features = lambdaMicrovmFeatures(LambdaMicrovmConfig.parse(CONFIG));

providerContract('lambda-microvm, on local MicroVMs', features, async () => {
  const { provider } = await openLambdaMicrovm();
  return provider;
});
