"""TensorBoard for every training run: what is written where, under which name.

A member's events are in `tensorboard/seed_K` of the run, or in `tensorboard/SETTING/seed_K` where
the run has several settings; what is about all of them is in `tensorboard` itself. PART is the name
of a part of the model (`chain`), LEAF the path of a leaf of its params, VALUE a value in the step
under its name in `jaxrnn.analysis.named`: layer_1, layer_1/c, layer_1/gate_2.

    scalars, at every line of the log
        loss/training           mean over the training steps of the line, nats per time step
        loss/training_epoch     mean over the epoch
        loss/validation, loss/validation_best   at the end of an epoch; the lowest so far
        norm/gradient           global norm before clipping, mean over the training steps
        optimizer/learning_rate at the end of a chunk
        speed/steps_per_second, speed/examples_per_second    of this member, beside the others;
                                an example is a sequence of the batch
        metrics/NAME            what else the gradient style or the validation measures
    scalars, at every observation
        norm/params, norm/updates
        saturation/VALUE of gates and tanh units; saturation/all_gates, .../all_tanh_units
    histograms and distributions, at every observation
        activations/VALUE
        params/LEAF, gradients/LEAF
    graphs      a time step of training: PART, loss, gradient/PART, optimizer/LEAF, inputs
    projector   the embeddings that `Ingredients.vectors` names, of the 2,048 most frequent symbols
    hparams     the config, the setting and the seed; metrics are the last scalars
    text        samples/text, of an epoch; samples/argmax of a file epoch_001_argmax_seed_0.txt;
                samples/NAME in `tensorboard` itself, of the run's end
    images      plots/NAME in `tensorboard` itself

An experiment has all of it for the `ingredients` of its `Training`: `Ingredients.vectors` names
what goes to the projector.

An observation is one pass over a fixed batch (`make_observe`). It is made where a chunk of training
steps ends: at the start, at the end, and in between as often as keeps them and all other writing
below `SHARE` of the time; or every so many training steps, where that is asked for
(`--tensorboard-every`). `python -m experiments.speed --case tensorboard` measures what they cost.
"""
