DROP TABLE outputs;
