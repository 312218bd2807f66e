"""Nodes of a cluster on this machine: started, recorded, looked over."""
