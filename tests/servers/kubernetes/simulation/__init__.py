"""The stand-in for an API server of Kubernetes: a small real HTTPS server with the conventions of the API.

Its answers are compared with those of a real kube-apiserver in `tests/contract/kubernetes/test_stand_in.py`. Left out:
all kinds but those of `kinds`, JSON patch and strategic merge patch (415), `managedFields` of anything but apply, keyed
lists in apply (lists are replaced whole), finalizers, ClusterRoles, client certificates, HTTP/2, protobuf and YAML
bodies, tables, admission, API discovery of single resources, and what makes a Pod valid beyond having containers. It
has too much to do (429) only when it is told so.
"""
