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

-- delete_attributes --
DELETE FROM attributes
WHERE resource = %(resource)s AND project = %(project)s AND domain = %(domain)s
    AND workflow = %(workflow)s AND launch_plan = %(launch_plan)s

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
SELECT * FROM projects WHERE identifier = %s

-- get_attributes --
SELECT * FROM attributes
WHERE resource = %s AND project = %s AND domain = %s AND workflow = %s
    AND launch_plan = %s

-- project_and_attributes --
-- A row for each level, the most specific first (ref §14); one for none.
SELECT projects.project, attributes.attributes FROM projects
LEFT JOIN attributes ON attributes.resource = %(resource)s
    AND attributes.project = projects.identifier
    AND attributes.domain IN ('', %(domain)s)
    AND attributes.workflow IN ('', %(workflow)s)
    AND attributes.launch_plan IN ('', %(launch_plan)s)
WHERE projects.identifier = %(project)s
ORDER BY attributes.launch_plan <> '' DESC, attributes.workflow <> '' DESC,
    attributes.domain <> '' DESC

-- list_attributes --
SELECT * FROM attributes WHERE resource = %s
ORDER BY project, domain, workflow, launch_plan
