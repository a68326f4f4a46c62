-- page --
SELECT {table}.* FROM {table} WHERE {where} ORDER BY {order} LIMIT %s OFFSET %s
