"""Sweeps: many trainings with settings that a sampler chooses, each of them an ordinary task of the queue.

views    what a sweep and its trials look like from outside
space    which settings are searched, and where
spec     everything that a person decides about a sweep
space_checks  whether trainings accept all of a search space
points   one trial by hand, all of a grid
study    the Optuna study behind a sweep; its trials, where they are kept, samplers and pruners in files beside it
importance  which settings make trials good
store    sweeps as rows of the queue's database
service  what a person can do with sweeps
loop     the scheduler's part: asks for trials, queues them, prunes, tells how they ended
mirror   the parent run in MLflow
searching  sweeps begun and opened by a program
handle   a sweep in a program: wait, look, take the best model
asking   settings that a function of a program chooses
"""
