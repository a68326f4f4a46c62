"""The laws: pure deciders, compiler, type rules, admission. No I/O, no clock."""
