DROP TABLE passed_over;
