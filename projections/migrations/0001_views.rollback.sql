DROP TABLE executions, execution_tags, node_executions, task_executions, journal,
    outcomes, projector_positions, projects, tasks, workflows, launch_plans,
    named_entities, attributes;
