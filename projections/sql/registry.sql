-- put_project --
INSERT INTO projects
    (identifier, name, description, state, project, created_at, updated_at)
VALUES (%(identifier)s, %(name)s, %(description)s, %(state)s, %(message)s, %(at)s, %(at)s)
ON CONFLICT (identifier) DO UPDATE SET
    name = excluded.name,
    description = excluded.description,
    state = excluded.state,
    project = excluded.project,
    updated_at = excluded.updated_at

-- add_task --
INSERT INTO tasks (
    project, domain, name, version, type, short_description, digest, closure,
    description, created_at, updated_at
) VALUES (
    %(project)s, %(domain)s, %(name)s, %(version)s, %(type)s, %(short_description)s,
    %(digest)s, %(closure)s, %(description)s, %(at)s, %(at)s
) ON CONFLICT DO NOTHING

-- add_workflow --
INSERT INTO workflows (
    project, domain, name, version, short_description, digest, interface, closure,
    node_count, description, created_at, updated_at
) VALUES (
    %(project)s, %(domain)s, %(name)s, %(version)s, %(short_description)s, %(digest)s,
    %(interface)s, %(closure)s, %(node_count)s, %(description)s, %(at)s,
    %(at)s
) ON CONFLICT DO NOTHING

-- add_launch_plan --
INSERT INTO launch_plans (
    project, domain, name, version, workflow_project, workflow_domain, workflow_name,
    workflow_version, schedule_type, digest, spec, closure, created_at, updated_at
) VALUES (
    %(project)s, %(domain)s, %(name)s, %(version)s, %(workflow_project)s,
    %(workflow_domain)s, %(workflow_name)s, %(workflow_version)s, %(schedule_type)s,
    %(digest)s, %(spec)s, %(closure)s, %(at)s, %(at)s
) ON CONFLICT DO NOTHING

-- demote_launch_plans --
UPDATE launch_plans SET state = 0, updated_at = %(at)s
WHERE project = %(project)s AND domain = %(domain)s AND name = %(name)s AND state = 1

-- promote_launch_plan --
UPDATE launch_plans SET state = 1, updated_at = %(at)s
WHERE project = %(project)s AND domain = %(domain)s AND name = %(name)s
    AND version = %(version)s

-- deactivate_launch_plan --
UPDATE launch_plans SET state = 0, updated_at = %(at)s
WHERE project = %(project)s AND domain = %(domain)s AND name = %(name)s
    AND version = %(version)s AND state = 1

-- describe_name --
INSERT INTO named_entities (resource_type, project, domain, name, description, state)
VALUES (%(kind)s, %(project)s, %(domain)s, %(name)s, %(description)s, %(state)s)
ON CONFLICT (resource_type, project, domain, name) DO UPDATE SET
    description = excluded.description,
    state = excluded.state

-- set_attributes --
INSERT INTO attributes (resource, project, domain, workflow, launch_plan, attributes)
VALUES (
    %(resource)s, %(project)s, %(domain)s, %(workflow)s, %(launch_plan)s,
    %(attributes)s
) ON CONFLICT (resource, project, domain, workflow, launch_plan) DO UPDATE SET
    attributes = excluded.attributes

-- delete_attributes --
DELETE FROM attributes
WHERE resource = %(resource)s AND project = %(project)s AND domain = %(domain)s
    AND workflow = %(workflow)s AND launch_plan = %(launch_plan)s

-- set_execution_state --
INSERT INTO execution_states (stream, state, principal, updated_at)
VALUES (%(stream)s, %(state)s, %(principal)s, %(at)s)
ON CONFLICT (stream) DO UPDATE SET
    state = excluded.state,
    principal = excluded.principal,
    updated_at = excluded.updated_at

-- execution_states --
SELECT * FROM execution_states WHERE stream = ANY(%s)

-- get_version --
SELECT * FROM {table}
WHERE project = %s AND domain = %s AND name = %s AND version = %s

-- get_active_launch_plan --
SELECT * FROM launch_plans
WHERE project = %s AND domain = %s AND name = %s AND state = 1

-- list_names --
SELECT names.* FROM (
    SELECT
        versions.project, versions.domain, versions.name,
        COALESCE(min(named_entities.description), '') AS description,
        COALESCE(min(named_entities.state), 0) AS state,
        min(versions.created_at) AS created_at,
        max(versions.updated_at) AS updated_at,
        {resource} AS resource_type
    FROM {versions} AS versions
    LEFT JOIN named_entities ON named_entities.resource_type = %s
        AND named_entities.project = versions.project
        AND named_entities.domain = versions.domain
        AND named_entities.name = versions.name
    WHERE versions.project = %s AND versions.domain = %s
    GROUP BY versions.project, versions.domain, versions.name
) AS names
WHERE {where} ORDER BY {order} LIMIT %s OFFSET %s

-- get_project --
SELECT project FROM projects WHERE identifier = %s

-- get_attributes --
SELECT attributes FROM attributes
WHERE resource = %s AND project = %s AND domain = %s AND workflow = %s
    AND launch_plan = %s

-- matching_attributes --
-- The most particular place first (ref §14).
SELECT * FROM attributes
WHERE resource = %(resource)s AND project = %(project)s
    AND domain IN ('', %(domain)s) AND workflow IN ('', %(workflow)s)
    AND launch_plan IN ('', %(launch_plan)s)
ORDER BY launch_plan <> '' DESC, workflow <> '' DESC, domain <> '' DESC

-- list_attributes --
SELECT * FROM attributes WHERE resource = %s
ORDER BY project, domain, workflow, launch_plan

-- evict_outputs --
INSERT INTO catalog_evictions AS e (project, domain, name, evicted_at)
VALUES (%(project)s, %(domain)s, %(name)s, %(at)s)
ON CONFLICT (project, domain, name) DO UPDATE
SET evicted_at = GREATEST(e.evicted_at, EXCLUDED.evicted_at)
