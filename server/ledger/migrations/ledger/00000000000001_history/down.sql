DROP TABLE checkpoints;
DROP TABLE keys;
DROP TABLE queues;
DROP TABLE attempts;
DROP TABLE labels;
DROP TABLE specs;
DROP TABLE jobs;
