DROP TABLE execution_states;
